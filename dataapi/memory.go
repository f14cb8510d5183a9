package dataapi

import (
	"maps"
	"slices"
	"sync"
)

// memory is [Documents] that last as long as the process: what a demo needs.
type memory struct {
	mu      sync.Mutex
	buckets map[string]map[string][]byte
}

func (m *memory) Put(bucket string, key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.buckets == nil {
		m.buckets = map[string]map[string][]byte{}
	}
	if m.buckets[bucket] == nil {
		m.buckets[bucket] = map[string][]byte{}
	}
	m.buckets[bucket][string(key)] = slices.Clone(value)
	return nil
}

func (m *memory) Get(bucket string, key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.buckets[bucket][string(key)]), nil
}

func (m *memory) Delete(bucket string, key []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.buckets[bucket], string(key))
	return nil
}

func (m *memory) Each(bucket string, f func(key, value []byte) error) error {
	m.mu.Lock()
	all := maps.Clone(m.buckets[bucket])
	m.mu.Unlock()
	for _, k := range sortedKeys(all) {
		if err := f([]byte(k), all[k]); err != nil {
			return err
		}
	}
	return nil
}
