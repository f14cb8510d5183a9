package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// fromGo makes a value of the script: an object becomes a struct, and one of a
// device has the verbs.
func (s *speaker) fromGo(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case bool:
		return starlark.Bool(v), nil
	case string:
		return starlark.String(v), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case float64:
		return starlark.Float(v), nil
	case []any:
		list := make([]starlark.Value, len(v))
		for i, x := range v {
			var err error
			if list[i], err = s.fromGo(x); err != nil {
				return nil, err
			}
		}
		return starlark.NewList(list), nil
	case map[string]any:
		return s.object(v)
	default:
		return fromJSON(s, v)
	}
}

// object is a struct with the fields of a result, or a dict where their names
// are none of the language, such as counts by channel. One of a device has
// the verbs for it, too.
func (s *speaker) object(m map[string]any) (starlark.Value, error) {
	fields := starlark.StringDict{}
	plainKeys := true
	for k, x := range m {
		v, err := s.fromGo(x)
		if err != nil {
			return nil, err
		}
		fields[k] = v
		plainKeys = plainKeys && isName(k)
	}
	if plainKeys {
		device, _ := m["device"].(string)
		return &subjectValue{starlarkstruct.FromStringDict(starlarkstruct.Default, fields), s, device}, nil
	}
	d := starlark.NewDict(len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if err := d.SetKey(starlark.String(k), fields[k]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// subjectValue is a result whose verbs mean its device.
type subjectValue struct {
	*starlarkstruct.Struct
	say    *speaker
	device string
}

var _ starlark.HasAttrs = (*subjectValue)(nil)

// Attr implements starlark.HasAttrs.
func (v *subjectValue) Attr(name string) (starlark.Value, error) {
	if w, ok := vocabulary()[name]; ok && !w.own && v.device != "" {
		return v.say.builtin(name, v.device), nil
	}
	return v.Struct.Attr(name)
}

func isName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) < 0 && (s[0] < '0' || s[0] > '9')
}

// toGo makes an argument of a script's value.
func toGo(v starlark.Value) (any, error) {
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.String:
		return string(v), nil
	case starlark.Int:
		n, ok := v.Int64()
		if !ok {
			return nil, fmt.Errorf("%w: %v is too large", ErrCall, v)
		}
		return n, nil
	case starlark.Float:
		return float64(v), nil
	case *starlark.List:
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = toGo(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *starlark.Dict:
		out := map[string]any{}
		for _, kv := range v.Items() {
			key, ok := starlark.AsString(kv[0])
			if !ok {
				return nil, fmt.Errorf("%w: %v is a key; text is wanted", ErrCall, kv[0])
			}
			var err error
			if out[key], err = toGo(kv[1]); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		return nil, fmt.Errorf("%w: a %s is no argument; text, numbers, booleans, lists and dicts are", ErrCall, v.Type())
	}
}
