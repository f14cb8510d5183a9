package nsedge

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// What docs/nsedge.md names as a proof is there.
func TestTheTestsOfTheFeatureTableExist(t *testing.T) {
	doc, err := os.ReadFile("../docs/nsedge.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	files := map[string]bool{}
	for _, folder := range []string{".", "../cmd/gatewayd"} {
		here := os.DirFS(folder)
		err = fs.WalkDir(here, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := fs.ReadFile(here, path)
			files[d.Name()] = true
			tests.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile("`(Test\\w+|\\w+_test\\.go)`").FindAllStringSubmatch(string(doc), -1)
	for _, m := range named {
		if !files[m[1]] && !strings.Contains(tests.String(), "func "+m[1]+"(") {
			t.Errorf("docs/nsedge.md names %s, which does not exist", m[1])
		}
	}
	if len(named) < 60 {
		t.Errorf("only %d tests are named", len(named))
	}
	for uplink, forms := range macTables {
		for cid, f := range forms {
			if name := strings.TrimSuffix(f.name, "Ans"); !strings.Contains(string(doc), name) {
				t.Errorf("docs/nsedge.md does not tell of %s (CID %#02x, uplink %v)", f.name, byte(cid), uplink)
			}
		}
	}
}
