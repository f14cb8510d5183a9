package nsedge

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestEveryCodeIsDocumentedAndUsed(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	doc, list := read("../docs/nsedge.md"), read("codes.go")
	var code strings.Builder
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if n := f.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") && n != "codes.go" {
			code.WriteString(read(n))
		}
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(Code\w+)\s+= "(\w+)"`).FindAllStringSubmatch(list, -1) {
		if !strings.Contains(doc, "`"+m[2]+"`") {
			t.Errorf("%s is not in docs/nsedge.md", m[2])
		}
		if m[1] != "CodeDeviceExists" && !regexp.MustCompile(`\b`+m[1]+`\b`).MatchString(code.String()) {
			t.Errorf("%s is never used", m[1])
		}
		if seen[m[2]] {
			t.Errorf("%s is there twice", m[2])
		}
		seen[m[2]] = true
	}
	if len(seen) < 40 {
		t.Errorf("only %d codes were found", len(seen))
	}
}
