package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Value is a key with what it is set to, what it is without that, and what it
// means.
type Value struct {
	Key            string
	Value, Default any // text, bool, int or float64
	Meaning        string
}

// Values are all keys in the order of the file.
func (c Config) Values() []Value {
	var all []Value
	is, def := reflect.ValueOf(c), reflect.ValueOf(Default())
	for i := range is.NumField() {
		section := is.Type().Field(i)
		for j := range section.Type.NumField() {
			field := section.Type.Field(j)
			all = append(all, Value{
				Key:   section.Tag.Get("toml") + "." + field.Tag.Get("toml"),
				Value: is.Field(i).Field(j).Interface(), Default: def.Field(i).Field(j).Interface(), Meaning: field.Tag.Get("comment"),
			})
		}
	}
	return all
}

// Edit sets keys in the text of a file and leaves the rest of it as it is,
// comments included. The values are JSON: texts, booleans, numbers. What comes
// out may be wrong in every way: Parse tells.
func Edit(text []byte, changes map[string]json.RawMessage) ([]byte, error) {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		if !slices.Contains(Keys(), key) {
			return nil, Faults{{Key: key, Problem: "unknown key; " + suggest(key)}}
		}
		value, err := tomlValue(changes[key])
		if err != nil {
			return nil, Faults{{Key: key, Value: string(changes[key]), Problem: kinds()[key]}}
		}
		section, name, _ := strings.Cut(key, ".")
		lines = setLine(lines, section, name, value)
	}
	return []byte(strings.TrimLeft(strings.Join(lines, "\n"), "\n") + "\n"), nil
}

// tomlValue writes a JSON value as TOML: for texts without control characters,
// numbers and booleans it is the same.
func tomlValue(raw json.RawMessage) (string, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return "", fmt.Errorf("control characters in %q", v)
		}
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`, nil
	case bool, float64:
		return string(raw), nil
	}
	return "", fmt.Errorf("%s is no text, number or boolean", raw)
}

// setLine sets one key: in its line, else at the end of its section, else in a
// new section.
func setLine(lines []string, section, name, value string) []string {
	line := name + " = " + value
	header := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(stripComment(l)) == "["+section+"]" })
	if header < 0 {
		return append(lines, "", "["+section+"]", line)
	}
	last := header
	for i := header + 1; i < len(lines); i++ {
		l := strings.TrimSpace(lines[i])
		if strings.HasPrefix(l, "[") {
			break
		}
		if k, _, ok := strings.Cut(l, "="); ok && strings.Trim(strings.TrimSpace(k), `"'`) == name {
			lines[i] = line
			return lines
		}
		if l != "" && !strings.HasPrefix(l, "#") {
			last = i
		}
	}
	return slices.Insert(lines, last+1, line)
}

func stripComment(line string) string {
	text, _, _ := strings.Cut(line, "#")
	return text
}
