package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Keys lists every key of the file, e.g. "dataapi.listen", in the order in
// which they are printed.
func Keys() []string {
	var keys []string
	eachKey(func(key string, _ reflect.Type) { keys = append(keys, key) })
	return keys
}

func eachKey(f func(key string, t reflect.Type)) {
	sections := reflect.TypeFor[Config]()
	for i := range sections.NumField() {
		section := sections.Field(i)
		for j := range section.Type.NumField() {
			field := section.Type.Field(j)
			f(section.Tag.Get("toml")+"."+field.Tag.Get("toml"), field.Type)
		}
	}
}

// kinds says in words what each key's value looks like.
func kinds() map[string]string {
	m := map[string]string{}
	eachKey(func(key string, t reflect.Type) {
		switch t.Kind() {
		case reflect.String:
			m[key] = `a text in quotes is wanted: "..."`
		case reflect.Int:
			m[key] = "a whole number is wanted"
		case reflect.Bool:
			m[key] = "true or false is wanted"
		case reflect.Float64:
			m[key] = "a number is wanted"
		}
	})
	return m
}

// suggest names what could have been meant by an unknown key: the keys of
// its section, the sections that have a key of that name, or the sections.
func suggest(key string) string {
	section, name, _ := strings.Cut(key, ".")
	var siblings, elsewhere, sections []string
	for _, k := range Keys() {
		s, n, _ := strings.Cut(k, ".")
		if s == section {
			siblings = append(siblings, n)
		}
		if n == name || name == "" && n == section {
			elsewhere = append(elsewhere, k)
		}
		if !slices.Contains(sections, s) {
			sections = append(sections, s)
		}
	}
	switch {
	case len(elsewhere) > 0:
		return fmt.Sprintf("was %s meant?", strings.Join(elsewhere, " or "))
	case len(siblings) > 0:
		return fmt.Sprintf("[%s] has %s", section, strings.Join(siblings, ", "))
	}
	return "the sections are " + strings.Join(sections, ", ")
}
