package apidoc

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gatewayd/dataapi/schema"
)

const referenceFile = "../../docs/rest-api.md"

var update = flag.Bool("update", false, "write "+referenceFile)

func document(t *testing.T) Object {
	t.Helper()
	doc, err := OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheReferenceIsWhatTheDocumentSays(t *testing.T) {
	want := writeReference(document(t))
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is out of date: go test ./dataapi/apidoc -update", referenceFile)
	}
}

// Each reference leads somewhere.
func TestReferencesInTheDocumentsResolve(t *testing.T) {
	checkReferences(t, document(t))
	checkReferences(t, asyncDocument(t))
}

func asyncDocument(t *testing.T) Object {
	t.Helper()
	doc, err := AsyncAPI()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func checkReferences(t *testing.T, doc Object) {
	t.Helper()
	r := reference{doc: doc}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case Object:
			if to := text(v, "$ref"); to != "" && r.resolve(v) == nil {
				t.Errorf("%s leads nowhere", to)
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(r.doc)
}

// The messages of the AsyncAPI document are those of package schema: the
// message of a real network passes, another one doesn't.
func TestTheMessagesOfTheAsyncAPIDocument(t *testing.T) {
	doc := asyncDocument(t)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("asyncapi.json", plain(t, doc)); err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(schema.Outgoing(), schema.Incoming()) {
		s, err := compiler.Compile("asyncapi.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		claim := Object{"type": "downlink_claim", "meta": Object{"device": "000516800011abf6"}}
		if err := s.Validate(claim); (err == nil) != (name == "downlink_claim") {
			t.Errorf("a claim as %s: %v", name, err)
		}
		r := reference{doc: doc}
		if m := r.resolve(Object{"$ref": "#/channels/data/messages/" + name}); m["$ref"] == nil {
			t.Errorf("%s is not in the channel", name)
		}
	}
}

// plain is the document as a reader has it.
func plain(t *testing.T, doc Object) (v any) {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Each operation has an id of its own, a summary, and tests that exist.
func TestEachOperationNamesTestsThatExist(t *testing.T) {
	known := testsOf(t, "..", "../adapter", "../../cmd/gatewayd", "../../cmd/gatewayd/blackbox")
	ids := map[string]bool{}
	for _, op := range Operations(document(t)) {
		name := strings.ToUpper(op.Method) + " " + op.Path
		id := text(op.Object, "operationId")
		if id == "" || ids[id] || text(op.Object, "summary") == "" {
			t.Errorf("%s: operationId %q, summary %q", name, id, text(op.Object, "summary"))
		}
		ids[id] = true
		tests, _ := op.Object["x-tests"].([]any)
		if len(tests) == 0 {
			t.Errorf("%s names no test", name)
		}
		for _, test := range tests {
			if test, _ := test.(string); !known[test] {
				t.Errorf("%s names the test %s, which isn't there", name, test)
			}
		}
	}
}

func testsOf(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	known := map[string]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllSubmatch(source, -1) {
				known[string(m[1])] = true
			}
		}
	}
	return known
}
