package dataapi

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Documents keeps small things durably: what Put returned for is there after
// a power cut. *store.Store is one.
type Documents interface {
	Put(bucket string, key, value []byte) error
	Get(bucket string, key []byte) ([]byte, error) // nil, nil if absent
	Delete(bucket string, key []byte) error
	Each(bucket string, f func(key, value []byte) error) error
}

// keysBucket holds the keys as JSON, by id.
const keysBucket = "keys"

// ErrUnknownKey says that there is no key with that id.
var ErrUnknownKey = errors.New("no such key")

// Key is an access token with its rights. The token itself is not kept.
type Key struct {
	ID          string      `json:"id"`
	UserID      string      `json:"user_id"`
	Org         string      `json:"org"`
	Description string      `json:"description"`
	Rights      []Right     `json:"rights,omitempty"`
	Permissions Permissions `json:"permissions,omitempty"`
	Scope       *lists      `json:"scope,omitempty"` // what it is confined to; nil: nothing
	Created     time.Time   `json:"created"`
	Hash        string      `json:"hash"` // SHA-256 of the token, hex

	scope *filter // of Scope
}

// Keys is the set of access tokens. All methods may be called from any
// goroutine.
type Keys struct {
	documents Documents
	changed   func(id string) // a key was revoked or changed

	mu     sync.RWMutex
	byID   map[string]*Key
	byHash map[[sha256.Size]byte]*Key
}

// OpenKeys reads the keys that are stored. It needs no server, so a command
// line can manage keys while the daemon is down.
func OpenKeys(d Documents) (*Keys, error) {
	k := &Keys{documents: d, changed: func(string) {}, byID: map[string]*Key{}, byHash: map[[sha256.Size]byte]*Key{}}
	err := d.Each(keysBucket, func(id, value []byte) error {
		var key Key
		if err := json.Unmarshal(value, &key); err != nil {
			return fmt.Errorf("key %s: %w", id, err)
		}
		return k.add(&key)
	})
	if err != nil {
		return nil, fmt.Errorf("read the access keys: %w", err)
	}
	return k, nil
}

func (k *Keys) add(key *Key) error {
	var hash [sha256.Size]byte
	if b, err := hex.DecodeString(key.Hash); err != nil || copy(hash[:], b) != len(hash) {
		return fmt.Errorf("key %s: its stored hash is damaged; revoke it and make a new one", key.ID)
	}
	if key.Scope != nil {
		f, err := key.Scope.filter()
		if err != nil {
			return fmt.Errorf("key %s: its stored scope is damaged (%w); revoke it and make a new one", key.ID, err)
		}
		if key.Scope.Types == "" {
			f.kinds = allKinds
		}
		f.duplicates, key.scope = true, &f
	}
	k.byID[key.ID], k.byHash[hash] = key, key
	return nil
}

// Create makes a key from the description, the owner and the rights in key,
// and returns it with its token: 32 lower-case hex digits, which can't be
// recovered later.
func (k *Keys) Create(key Key) (Key, string, error) {
	token, id := randomHex(16), randomHex(8)
	hash := sha256.Sum256([]byte(token))
	key.ID, key.Hash = id, hex.EncodeToString(hash[:])
	key.Created = time.Now().UTC().Truncate(time.Second)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.store(&key); err != nil {
		return Key{}, "", err
	}
	return key, token, nil
}

// store writes the key and then takes it into the tables; the lock is held.
func (k *Keys) store(key *Key) error {
	text, err := json.Marshal(key)
	if err != nil {
		return fmt.Errorf("store key %s: %w", key.ID, err)
	}
	if err := k.documents.Put(keysBucket, []byte(key.ID), text); err != nil {
		return fmt.Errorf("store key %s: %w", key.ID, err)
	}
	return k.add(key)
}

// List returns all keys, oldest first.
func (k *Keys) List() []Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	all := make([]Key, 0, len(k.byID))
	for _, key := range k.byID {
		all = append(all, *key)
	}
	slices.SortFunc(all, func(a, b Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// Get returns the key with that id, or ErrUnknownKey.
func (k *Keys) Get(id string) (Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.byID[id]
	if !ok {
		return Key{}, fmt.Errorf("%w: %s", ErrUnknownKey, shown(id))
	}
	return *key, nil
}

// Update changes a key; its id, hash and time of creation stay. Connections
// that were opened with it end.
func (k *Keys) Update(id string, change func(*Key) error) (Key, error) {
	k.mu.Lock()
	old, ok := k.byID[id]
	if !ok {
		k.mu.Unlock()
		return Key{}, fmt.Errorf("%w: %s", ErrUnknownKey, shown(id))
	}
	key := *old
	err := change(&key)
	if err == nil {
		key.ID, key.Hash, key.Created = old.ID, old.Hash, old.Created
		err = k.store(&key)
	}
	k.mu.Unlock()
	if err != nil {
		return Key{}, err
	}
	k.changed(id)
	return key, nil
}

// Revoke deletes a key. Connections that were opened with it end.
func (k *Keys) Revoke(id string) error {
	k.mu.Lock()
	key, ok := k.byID[id]
	if !ok {
		k.mu.Unlock()
		return fmt.Errorf("%w: %s", ErrUnknownKey, shown(id))
	}
	err := k.documents.Delete(keysBucket, []byte(id))
	if err == nil {
		var hash [sha256.Size]byte
		_, _ = hex.Decode(hash[:], []byte(key.Hash)) // it was checked by add
		delete(k.byID, id)
		delete(k.byHash, hash)
	}
	k.mu.Unlock()
	if err != nil {
		return fmt.Errorf("revoke key %s: %w", id, err)
	}
	k.changed(id)
	return nil
}

// Lookup returns the key of a token. What could be learnt from its timing is
// about the token's hash, not the token.
func (k *Keys) Lookup(token string) (*Key, bool) {
	hash := sha256.Sum256([]byte(token))
	k.mu.RLock()
	key := k.byHash[hash]
	k.mu.RUnlock()
	if key == nil {
		return nil, false
	}
	if subtle.ConstantTimeCompare([]byte(key.Hash), []byte(hex.EncodeToString(hash[:]))) != 1 {
		return nil, false
	}
	return key, true
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
