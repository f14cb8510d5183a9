package apidoc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// writeReference writes the document for people, as Markdown.
func writeReference(doc Object) string {
	r := reference{doc: doc}
	r.line("# The Management API, call by call")
	r.line("")
	r.line("<!-- Made of dataapi/apidoc/openapi by \"go test ./dataapi/apidoc -update\"; don't edit. -->")
	r.line("")
	r.line("A running gatewayd serves this as OpenAPI 3.1 at `/api/v1.0/openapi.json`. [data-api.md](data-api.md) says how to sign in, what the")
	r.line("rights mean and what errors look like; every call may answer with one. A body may be bare or wrapped in the resource's name; unknown")
	r.line("fields and parameters are ignored. Fields in *italics* may be absent. Under each call stand the tests that show it.")
	ops := Operations(doc)
	slices.SortFunc(ops, func(a, b Operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	tags, _ := doc["tags"].([]any)
	for _, tag := range tags {
		tag, _ := tag.(Object)
		r.line("")
		r.line("## " + text(tag, "name"))
		r.line("")
		r.line(text(tag, "description"))
		for _, op := range ops {
			if list, _ := op.Object["tags"].([]any); len(list) > 0 && list[0] == tag["name"] {
				r.operation(op)
			}
		}
		r.schemas()
	}
	return r.b.String()
}

type reference struct {
	doc  Object
	b    strings.Builder
	used []string // schemas that the tag's operations name, in order
	told []string
}

func (r *reference) line(s string) { r.b.WriteString(strings.TrimRight(s, " ") + "\n") }

func text(o Object, name string) string {
	s, _ := o[name].(string)
	return s
}

func (r *reference) operation(op Operation) {
	r.line("")
	r.line("### `" + strings.ToUpper(op.Method) + " " + op.Path + "`")
	r.line("")
	r.line(strings.TrimSpace(text(op.Object, "summary") + " " + text(op.Object, "description")))
	r.line("")
	switch right := text(op.Object, "x-right"); {
	case op.Object["security"] != nil:
		r.line("- No token is needed.")
	case right == "":
		r.line("- Any token.")
	default:
		r.line("- Takes permissions on `" + right + "`.")
	}
	own, _ := op.Object["parameters"].([]any)
	for _, p := range slices.Concat(op.Shared, own) {
		p := r.resolve(p)
		r.line(fmt.Sprintf("- `%s` (%s): %s", text(p, "name"), text(p, "in"), text(p, "description")))
	}
	if body, ok := op.Object["requestBody"].(Object); ok {
		r.line("- Body: " + r.content(body) + ".")
	}
	responses, _ := op.Object["responses"].(Object)
	for _, status := range sorted(responses) {
		if status == "default" {
			continue
		}
		response := r.resolve(responses[status])
		what := strings.TrimSuffix(text(response, "description"), ".")
		if c := r.content(response); c != "" {
			what = strings.TrimPrefix(what+". "+c, ". ")
		}
		r.line("- " + status + ": " + what + ".")
	}
	tests, _ := op.Object["x-tests"].([]any)
	var names []string
	for _, t := range tests {
		names = append(names, fmt.Sprintf("`%v`", t))
	}
	r.line("- Tests: " + strings.Join(names, ", "))
}

// content says what a body is.
func (r *reference) content(o Object) string {
	content, _ := o["content"].(Object)
	var kinds []string
	for _, kind := range sorted(content) {
		media, _ := content[kind].(Object)
		schema, ok := media["schema"]
		if !ok {
			kinds = append(kinds, kind)
			continue
		}
		kinds = append(kinds, r.shape(schema))
	}
	return strings.Join(kinds, " or ")
}

// shape names a schema in a few words, and remembers those that have a name.
func (r *reference) shape(schema any) string {
	o, _ := schema.(Object)
	if to := text(o, "$ref"); to != "" {
		name := to[strings.LastIndex(to, "/")+1:]
		if !slices.Contains(r.used, name) {
			r.used = append(r.used, name)
		}
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	if either, ok := o["oneOf"].([]any); ok {
		var all []string
		for _, e := range either {
			all = append(all, r.shape(e))
		}
		return strings.Join(all, " or ")
	}
	if properties, ok := o["properties"].(Object); ok && len(properties) > 0 {
		var all []string
		for _, name := range sorted(properties) {
			all = append(all, "`"+name+"` "+r.shape(properties[name]))
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	if items, ok := o["items"]; ok {
		return "list of " + r.shape(items)
	}
	if words, ok := o["enum"].([]any); ok {
		var all []string
		for _, w := range words {
			all = append(all, fmt.Sprintf("`%v`", w))
		}
		return strings.Join(all, "/")
	}
	var types []string
	switch t := o["type"].(type) {
	case string:
		types = []string{t}
	case []any:
		for _, name := range t {
			types = append(types, fmt.Sprint(name))
		}
	}
	if len(types) == 0 {
		return "anything"
	}
	return strings.Join(types, "/")
}

// schemas describes what the operations of a tag named, and what those name.
func (r *reference) schemas() {
	for len(r.used) > 0 {
		name := r.used[0]
		r.used = r.used[1:]
		if slices.Contains(r.told, name) {
			continue
		}
		r.told = append(r.told, name)
		o := r.resolve(Object{"$ref": "#/components/schemas/" + name})
		r.line("")
		r.line("#### " + name)
		r.line("")
		properties, _ := o["properties"].(Object)
		if len(properties) == 0 {
			r.line(strings.TrimSpace(r.shape(o) + ": " + text(o, "description")))
			continue
		}
		if d := text(o, "description"); d != "" {
			r.line(d)
			r.line("")
		}
		r.line("| field | type | meaning |")
		r.line("| --- | --- | --- |")
		required, _ := o["required"].([]any)
		for _, field := range sorted(properties) {
			p, _ := properties[field].(Object)
			shown := "`" + field + "`"
			if !slices.Contains(required, any(field)) {
				shown = "*" + shown + "*"
			}
			r.line(fmt.Sprintf("| %s | %s | %s |", shown, r.shape(p), text(p, "description")))
		}
	}
}

// resolve follows a reference.
func (r *reference) resolve(v any) Object {
	o, _ := v.(Object)
	to, ok := strings.CutPrefix(text(o, "$ref"), "#/")
	if !ok {
		return o
	}
	at := any(r.doc)
	for step := range strings.SplitSeq(to, "/") {
		m, _ := at.(Object)
		at = m[step]
	}
	o, _ = at.(Object)
	return o
}

func sorted(o Object) []string {
	var names []string
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
