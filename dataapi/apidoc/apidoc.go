// Package apidoc holds the documents that describe the Management API to
// machines, and the reference for people that is made of them.
//
// The OpenAPI 3.1 document is written by hand, a file per resource in the
// folder openapi; [OpenAPI] puts the files together. It is kept true by tests:
// each route of the server stands in it with its right, each response that a
// test of package dataapi sees is held against it, and each test that it names
// exists. docs/rest-api.md is made of it:
//
//	go test ./dataapi/apidoc -update
//
// Whoever adds a route adds it to a file there, with the tests that show it in
// x-tests and the right that it takes in x-right ("" for any token).
package apidoc

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
)

//go:embed openapi/*.json
var files embed.FS

// Object is a JSON object.
type Object = map[string]any

// OpenAPI is the whole OpenAPI document.
func OpenAPI() (Object, error) {
	names, err := fs.Glob(files, "openapi/*.json")
	if err != nil {
		return nil, err
	}
	doc := Object{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var part Object
		if err := json.Unmarshal(text, &part); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := merge(doc, part); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, op := range Operations(doc) {
		responses, _ := op.Object["responses"].(Object)
		if _, ok := responses["default"]; !ok && responses != nil {
			responses["default"] = Object{"$ref": "#/components/responses/problem"}
		}
	}
	return doc, nil
}

// merge adds a part to the document: objects are merged, lists appended, and
// nothing is said twice.
func merge(into, part Object) error {
	for name, v := range part {
		old, ok := into[name]
		if !ok {
			into[name] = v
			continue
		}
		switch v := v.(type) {
		case Object:
			if old, ok := old.(Object); ok {
				if err := merge(old, v); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				continue
			}
		case []any:
			if old, ok := old.([]any); ok {
				into[name] = append(old, v...)
				continue
			}
		}
		return fmt.Errorf("%s stands in two files", name)
	}
	return nil
}

// Operation is one method of one path.
type Operation struct {
	Path, Method string // the method in lower case
	Object       Object
	Shared       []any // parameters of the path
}

// Operations are all that the document describes, in no order.
func Operations(doc Object) []Operation {
	var all []Operation
	paths, _ := doc["paths"].(Object)
	for path, item := range paths {
		item, _ := item.(Object)
		shared, _ := item["parameters"].([]any)
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			if op, ok := item[method].(Object); ok {
				all = append(all, Operation{path, method, op, shared})
			}
		}
	}
	return all
}
