package flight

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// secretNames are parts of the names of members that are left out.
var secretNames = []string{"key", "token", "password", "passphrase", "secret", "authorization"}

const hidden = "(secret)"

// mostMessage bounds what is kept of a message, bytes.
const mostMessage = 8 << 10

// withoutSecrets is a JSON text without the values of members whose names say
// that they are secret, at any depth. What is no JSON, or too long, is
// replaced by its length: it may be anything.
func withoutSecrets(text []byte) json.RawMessage {
	if len(text) <= mostMessage && !suspicious(text) && json.Valid(text) {
		return text
	}
	if len(text) <= mostMessage {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var v any
		if d.Decode(&v) == nil && !d.More() {
			if out, err := json.Marshal(redacted(v)); err == nil {
				return out
			}
		}
	}
	return fmt.Appendf(nil, `"(%d bytes)"`, len(text))
}

// suspicious tells whether a text may have a secret member: most have none,
// and need not be taken apart. An escape may hide a name.
func suspicious(text []byte) bool {
	text = bytes.ToLower(text)
	for _, part := range append([]string{"\\"}, secretNames...) {
		if bytes.Contains(text, []byte(part)) {
			return true
		}
	}
	return false
}

func redacted(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if secret(name) {
				v[name] = hidden
			} else {
				v[name] = redacted(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = redacted(v[i])
		}
	}
	return v
}

func secret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range secretNames {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// hexBytes are bytes that JSON shows in hex.
type hexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}
