// Package schematest checks messages of the Data API in tests.
package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gatewayd/dataapi/schema"
)

// compiled are the schemas by message type; they never change.
var compiled = sync.OnceValues(compile)

func compile() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	names, err := fs.Glob(schema.FS(), "*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(schema.FS(), name)
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := c.AddResource(name, doc); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	all := map[string]*jsonschema.Schema{}
	for _, name := range slices.Concat(schema.Outgoing(), schema.Incoming()) {
		if all[name], err = c.Compile(name + ".json"); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// CheckOutgoing tells what is wrong with a message to an application.
func CheckOutgoing(text []byte) error { return check(text, schema.Outgoing()) }

// CheckIncoming tells what is wrong with a message from an application.
func CheckIncoming(text []byte) error { return check(text, schema.Incoming()) }

func check(text []byte, types []string) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	object, _ := doc.(map[string]any)
	kind, _ := object["type"].(string)
	if kind == "status" {
		kind = "status_request" // its older name
	}
	if !slices.Contains(types, kind) {
		return fmt.Errorf("%s: type %q is not one of %s", text, kind, strings.Join(types, ", "))
	}
	all, err := compiled()
	if err != nil {
		return err
	}
	if err := all[kind].Validate(doc); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if slices.Contains(schema.Outgoing(), kind) {
		return plainNumbers(doc)
	}
	return nil
}

var errNumber = errors.New("a number that a typed client may refuse")

// plainNumbers refuses what JSON Schema can't: 97.0 and 9.7e1 are integers to
// it, but not to clients that decode into an integer type.
func plainNumbers(v any) error {
	switch v := v.(type) {
	case json.Number:
		text := v.String()
		if strings.ContainsAny(text, "eE") || strings.Contains(text, ".") && strings.HasSuffix(text, "0") || text == "-0" {
			return fmt.Errorf("%w: %s", errNumber, text)
		}
	case map[string]any:
		for name, member := range v {
			if err := plainNumbers(member); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	case []any:
		for _, member := range v {
			if err := plainNumbers(member); err != nil {
				return err
			}
		}
	}
	return nil
}
