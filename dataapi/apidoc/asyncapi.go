package apidoc

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gatewayd/dataapi/schema"
)

//go:embed asyncapi.json
var asyncBase []byte

// schemaFormat is that of the message schemas.
const schemaFormat = "application/schema+json;version=draft-2020-12"

// AsyncAPI is the AsyncAPI 3 document of the Data API's WebSocket: its frame
// is asyncapi.json, its messages are package schema's.
func AsyncAPI() (Object, error) {
	var doc Object
	if err := json.Unmarshal(asyncBase, &doc); err != nil {
		return nil, fmt.Errorf("asyncapi.json: %w", err)
	}
	schemas, err := bundle()
	if err != nil {
		return nil, err
	}
	components, _ := doc["components"].(Object)
	components["schemas"] = schemas
	messages := Object{}
	components["messages"] = messages
	inChannel := Object{}
	channels, _ := doc["channels"].(Object)
	data, _ := channels["data"].(Object)
	data["messages"] = inChannel
	operations, _ := doc["operations"].(Object)
	for operation, types := range map[string][]string{"hear": schema.Outgoing(), "answer": schema.Incoming()} {
		var list []any
		for _, name := range types {
			of, _ := schemas[name].(Object)
			messages[name] = Object{
				"name": name, "summary": of["description"],
				"payload": Object{"schemaFormat": schemaFormat, "schema": Object{"$ref": "#/components/schemas/" + name}},
			}
			inChannel[name] = Object{"$ref": "#/components/messages/" + name}
			list = append(list, Object{"$ref": "#/channels/data/messages/" + name})
		}
		o, _ := operations[operation].(Object)
		o["messages"] = list
	}
	return doc, nil
}

// bundle puts the schema files into one object, and turns their references to
// each other into references within the document.
func bundle() (Object, error) {
	names, err := fs.Glob(schema.FS(), "*.json")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	all := Object{}
	for _, file := range names {
		text, err := fs.ReadFile(schema.FS(), file)
		if err != nil {
			return nil, err
		}
		var o Object
		if err := json.Unmarshal(text, &o); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		delete(o, "$id")
		delete(o, "$schema")
		name := strings.TrimSuffix(file, path.Ext(file))
		rebase(o, name)
		all[name] = o
	}
	return all, nil
}

// rebase rewrites the references in one file's schema.
func rebase(v any, name string) {
	switch v := v.(type) {
	case Object:
		if to, ok := v["$ref"].(string); ok {
			file, fragment, _ := strings.Cut(to, "#")
			in := name
			if file != "" {
				in = strings.TrimSuffix(file, path.Ext(file))
			}
			v["$ref"] = "#/components/schemas/" + in + fragment
		}
		for key, inner := range v {
			if key != "$ref" {
				rebase(inner, name)
			}
		}
	case []any:
		for _, inner := range v {
			rebase(inner, name)
		}
	}
}
