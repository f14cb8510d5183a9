package apidoc

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
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
func TestReferencesInTheDocumentResolve(t *testing.T) {
	r := reference{doc: document(t)}
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
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
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
