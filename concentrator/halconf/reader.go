package halconf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// reader takes values out of a JSON object. It notes what was wrong and what
// was looked at; a key that is absent or null leaves its target as it is.
type reader struct {
	path   string
	keys   map[string]json.RawMessage
	used   map[string]bool
	below  []*reader
	faults []error
}

// get decodes one value; it tells whether the key is there.
func get[T any](r *reader, key string, to *T) bool {
	text, ok := r.look(key)
	if !ok {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(to); err != nil {
		r.fault(key, fmt.Sprintf("a %s is wanted", kind(*to)))
		return false
	}
	return true
}

func kind(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case string:
		return "text"
	case float64:
		return "number"
	case map[string]json.RawMessage:
		return "JSON object"
	case []json.RawMessage:
		return "list"
	}
	return "whole number in range"
}

// number decodes a whole number, which some files write as 868500000.0.
func number[T ~int | ~int8 | ~uint8 | ~int64](r *reader, key string, to *T, low, high int64) bool {
	var v float64
	if !get(r, key, &v) {
		return false
	}
	if v != float64(int64(v)) || v < float64(low) || v > float64(high) {
		r.fault(key, fmt.Sprintf("%d to %d", low, high))
		return false
	}
	*to = T(v)
	return true
}

// object descends; nil if the key is absent.
func (r *reader) object(key string) *reader {
	var keys map[string]json.RawMessage
	if !get(r, key, &keys) {
		return nil
	}
	return r.child(key, keys)
}

// list descends into a list of objects.
func (r *reader) list(key string) []*reader {
	var items []json.RawMessage
	get(r, key, &items)
	var children []*reader
	for i, text := range items {
		name := fmt.Sprintf("%s[%d]", key, i)
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(text, &keys); err != nil {
			r.faults = append(r.faults, fmt.Errorf("%s.%s: %s is not allowed: a JSON object is wanted", r.path, name, shorten(text)))
			continue
		}
		children = append(children, r.child(name, keys))
	}
	return children
}

func (r *reader) child(name string, keys map[string]json.RawMessage) *reader {
	c := &reader{path: r.path + "." + name, keys: keys}
	r.below = append(r.below, c)
	return c
}

func (r *reader) look(key string) (json.RawMessage, bool) {
	if r.used == nil {
		r.used = map[string]bool{}
	}
	r.used[key] = true
	text, ok := r.keys[key]
	return text, ok && string(text) != "null"
}

// fault notes that a key's value is not allowed.
func (r *reader) fault(key, allowed string) {
	text, ok := r.keys[key]
	if !ok {
		r.faults = append(r.faults, fmt.Errorf("%s.%s is missing: %s", r.path, key, allowed))
		return
	}
	r.faults = append(r.faults, fmt.Errorf("%s.%s: %s is not allowed: %s", r.path, key, shorten(text), allowed))
}

func shorten(text []byte) string {
	const most = 40
	if len(text) > most {
		return strings.ToValidUTF8(string(text[:most]), "") + "…"
	}
	return string(text)
}

// err joins all faults, of objects below too.
func (r *reader) err() error {
	errs := slices.Clone(r.faults)
	for _, c := range r.below {
		errs = append(errs, c.err())
	}
	return errors.Join(errs...)
}

// unused lists keys that nobody looked at, sorted.
func (r *reader) unused() []string {
	var names []string
	for key := range r.keys {
		if !r.used[key] {
			names = append(names, r.path+"."+key)
		}
	}
	for _, c := range r.below {
		names = append(names, c.unused()...)
	}
	slices.Sort(names)
	return names
}
