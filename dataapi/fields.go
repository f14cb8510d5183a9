package dataapi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// fields is one JSON object that a client sent, read strictly: a field of the
// wrong type is an error which names it, says what came and what is allowed.
// A field that is null counts as not given.
type fields struct {
	path string
	m    map[string]json.RawMessage
}

// name is the field's full path, such as "params.port".
func (f fields) name(field string) string {
	if f.path == "" || f.path == "message" {
		return field
	}
	return f.path + "." + field
}

func (f fields) given(field string) bool {
	raw, ok := f.m[field]
	return ok && !isNull(raw)
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// raw is how a value looks in a message about it.
func (f fields) raw(field string) string {
	text := string(f.m[field])
	if len(text) > 64 {
		text = strings.ToValidUTF8(text[:64], "") + "…"
	}
	return text
}

// object returns the object in that field, an empty one if there is none.
func (f fields) object(field string) (fields, error) {
	o := fields{path: f.name(field)}
	if !f.given(field) {
		return o, nil
	}
	if err := json.Unmarshal(f.m[field], &o.m); err != nil {
		return o, badField(o.path, "%s; an object is wanted", f.raw(field))
	}
	return o, nil
}

// text returns "" where nothing is given.
func (f fields) text(field string) (string, error) {
	if !f.given(field) {
		return "", nil
	}
	s, ok := unquote(f.m[field])
	if !ok {
		return "", badField(f.name(field), "%s; a text is wanted", f.raw(field))
	}
	return s, nil
}

// unquote reads a JSON string which is known to be valid JSON; one without
// escapes costs one copy.
func unquote(raw json.RawMessage) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if text := raw[1 : len(raw)-1]; bytes.IndexByte(text, '\\') < 0 {
		return string(text), true
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// hex returns n bytes, nil where nothing is given, be it as "".
func (f fields) hex(field string, n int) ([]byte, error) {
	s, err := f.text(field)
	if err != nil || s == "" {
		return nil, err
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != n {
		return nil, badField(f.name(field), "%s; %d hex digits are wanted", shown(s), 2*n)
	}
	return b, nil
}

// secret is a key of 16 bytes, whose value no message repeats.
func (f fields) secret(field string) ([]byte, error) {
	s, err := f.text(field)
	if err != nil {
		return nil, badField(f.name(field), "a text of 32 hex digits is wanted")
	}
	if s == "" {
		return nil, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 {
		return nil, badField(f.name(field), "%d characters, not the 32 hex digits that are wanted", len(s))
	}
	return b, nil
}

// base64 returns nil where nothing is given and an empty slice for "". The
// value may be a payload in clear: no message repeats it.
func (f fields) base64(field string) ([]byte, error) {
	if !f.given(field) {
		return nil, nil
	}
	s, ok := unquote(f.m[field])
	if !ok {
		return nil, badField(f.name(field), "a text with base64 is wanted")
	}
	b, err := decodeBase64(s)
	if err != nil {
		return nil, badField(f.name(field), "not base64 (%v); the standard alphabet A-Z a-z 0-9 + / is wanted, padding may lack", err)
	}
	return b, nil
}

// int accepts whole numbers, written as 10 or 10.0.
func (f fields) int(field string, least, most int64) (v int64, given bool, err error) {
	if !f.given(field) {
		return 0, false, nil
	}
	v, ok := wholeNumber(string(f.m[field]))
	if !ok || v < least || v > most {
		return 0, true, badField(f.name(field), "%s; a whole number from %d to %d is allowed", f.raw(field), least, most)
	}
	return v, true, nil
}

// wholeNumber reads a JSON number without a fraction.
func wholeNumber(text string) (int64, bool) {
	text = strings.TrimSpace(text)
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return v, true
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		return 0, false
	}
	return int64(v), true
}

// bools sets what is given.
func (f fields) bools(into map[string]*bool) error {
	for _, field := range sortedKeys(into) {
		if !f.given(field) {
			continue
		}
		switch text := string(f.m[field]); text {
		case "true", "false":
			*into[field] = text == "true"
		default:
			return badField(f.name(field), "%s; true and false are allowed", f.raw(field))
		}
	}
	return nil
}

// sortedKeys makes errors the same each time.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
