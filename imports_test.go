// Package gatewayd_test enforces the architecture: which package may import
// which (the table of docs/architecture.md), and where things may lie.
package gatewayd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "gatewayd"

// rule says what a package may import besides the standard library. A name
// that ends in "/..." means everything below, too.
type rule struct {
	ours   []string // packages of this module
	theirs []string // other modules
}

// rules is the table. A package without a row has that of the nearest parent,
// and may import its relatives below that parent.
func rules() map[string]rule {
	return map[string]rule{
		"cmd/gatewayd":           {ours: []string{"..."}, theirs: []string{"..."}},
		"radio":                  {},
		"radio/sx1250":           {ours: []string{"radio"}},
		"radio/sx125x":           {ours: []string{"radio"}},
		"radio/sx1261":           {ours: []string{"radio"}},
		"radio/air":              {ours: []string{"radio"}},
		"concentrator":           {ours: []string{"radio", "radio/sx1250", "radio/sx125x", "radio/sx1261", "concentrator/reg", "concentrator/gnss"}, theirs: []string{"periph.io/x/conn/..."}},
		"concentrator/reg":       {},
		"concentrator/bridge":    {ours: []string{"concentrator/tty"}, theirs: []string{"periph.io/x/conn/..."}},
		"concentrator/gnss":      {ours: []string{"concentrator/tty"}, theirs: []string{"golang.org/x/sys/unix"}},
		"concentrator/tty":       {theirs: []string{"golang.org/x/sys/unix"}},
		"concentrator/halconf":   {ours: []string{"radio", "concentrator"}, theirs: []string{"github.com/tailscale/hujson"}},
		"concentrator/sx1302sim": {ours: []string{"radio", "radio/air", "concentrator/reg", "concentrator/bridge"}, theirs: []string{"periph.io/x/conn/..."}},
		"board":                  {ours: []string{"radio", "concentrator", "concentrator/bridge", "concentrator/sx1302sim", "radio/air"}, theirs: []string{"periph.io/x/conn/...", "periph.io/x/host/...", "github.com/pelletier/go-toml/..."}},
		"nsedge":                 {ours: []string{"radio", "nsedge/..."}, theirs: []string{"github.com/brocaar/lorawan/..."}},
		"nsedge/lab":             {ours: []string{"radio"}, theirs: []string{"github.com/brocaar/lorawan/..."}},
		"nsedge/classb":          {},
		"nsedge/store":           {ours: []string{"radio"}, theirs: []string{"go.etcd.io/bbolt/..."}},
		"nsedge/region":          {ours: []string{"radio"}, theirs: []string{"github.com/brocaar/lorawan/..."}},
		"nsedge/enddevice":       {ours: []string{"radio", "radio/air", "nsedge/region", "nsedge/classb"}, theirs: []string{"github.com/brocaar/lorawan/..."}},
		"dataapi":                {ours: []string{"nsedge", "radio", "dataapi/devicefile", "dataapi/gui"}, theirs: []string{"..."}},
		"dataapi/gui":            {},
		"dataapi/client":         {theirs: []string{"github.com/gorilla/websocket"}},
		"docs/examples":          {ours: []string{"dataapi/client"}},
		"dataapi/inproc":         {},
		"dataapi/devicefile":     {},
		"dataapi/schema":         {theirs: []string{"github.com/santhosh-tekuri/jsonschema/..."}},
	}
}

// only lists modules that nobody may import but the packages named, whatever
// the table says about those with free choice.
func only() map[string][]string {
	return map[string][]string{
		"periph.io/x/host/...":           {"board"},
		"periph.io/x/conn/...":           {"board", "concentrator", "concentrator/bridge", "concentrator/sx1302sim", "cmd/gatewayd"},
		"go.etcd.io/bbolt/...":           {"nsedge/store"},
		"filippo.io/age/...":             {"cmd/gatewayd"},
		"github.com/brocaar/lorawan/...": {"nsedge", "nsedge/region", "nsedge/enddevice", "nsedge/lab"},
		// Tests alone hold messages against their schemas.
		"github.com/santhosh-tekuri/jsonschema/...": {"dataapi/schema"},
		"github.com/gorilla/websocket":              {"dataapi", "dataapi/client", "cmd/gatewayd"},
		"github.com/spf13/cobra/...":                {"cmd/gatewayd"},
	}
}

func matches(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	prefix, tree := strings.CutSuffix(pattern, "/...")
	if path == prefix {
		return true
	}
	if rest, ok := strings.CutPrefix(path, prefix+"/"); ok {
		// A major version is the same module.
		return tree || len(rest) > 1 && rest[0] == 'v' && strings.Trim(rest[1:], "0123456789") == ""
	}
	return false
}

func anyMatches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}

// rowOf returns the nearest row of the table.
func rowOf(pkg string) (row string, ok bool) {
	table := rules()
	for row = pkg; row != "." && row != "/"; row = filepath.Dir(row) {
		if _, ok := table[row]; ok {
			return row, true
		}
	}
	return "", false
}

// violation says what is wrong with an import, "" if it is allowed.
func violation(pkg, imported string) string {
	row, ok := rowOf(pkg)
	if !ok {
		return fmt.Sprintf("%s is not in the table of packages", pkg)
	}
	r := rules()[row]
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		if relative := row != pkg && matches(row+"/...", own); relative || anyMatches(r.ours, own) {
			return ""
		}
		// A package may have parts below it that no one else knows of.
		if _, listed := rules()[own]; !listed && matches(pkg+"/...", own) {
			return ""
		}
		return fmt.Sprintf("%s may not import %s", pkg, own)
	}
	for name, users := range only() {
		if matches(name, imported) && !slices.Contains(users, row) {
			return fmt.Sprintf("%s may not import %s: only %s may", pkg, imported, strings.Join(users, ", "))
		}
	}
	if !anyMatches(r.theirs, imported) {
		return fmt.Sprintf("%s may not import %s", pkg, imported)
	}
	return ""
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var list []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return first != module && !strings.Contains(first, ".")
}

func TestImportsPointTheRightWay(t *testing.T) {
	list := packages(t)
	if len(list) < len(rules())/2 {
		t.Fatalf("only %d packages found", len(list))
	}
	for _, p := range list {
		pkg, ok := strings.CutPrefix(p.ImportPath, module+"/")
		if !ok {
			continue // the module's root has this test only
		}
		for _, i := range p.Imports {
			if isStandard(i) {
				continue
			}
			if v := violation(pkg, i); v != "" {
				t.Error(v)
			}
		}
	}
}

func TestTheTableItselfHasNoCycle(t *testing.T) {
	table := rules()
	var visit func(path []string, pkg string)
	visit = func(path []string, pkg string) {
		if slices.Contains(path, pkg) {
			t.Errorf("cycle: %s", strings.Join(append(path, pkg), " -> "))
			return
		}
		for next := range table {
			if next != pkg && anyMatches(table[pkg].ours, next) {
				visit(append(slices.Clone(path), pkg), next)
			}
		}
	}
	for pkg := range table {
		visit(nil, pkg)
	}
}

func TestTheTableRefusesWhatItShould(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		allowed       bool
	}{
		{"concentrator", "gatewayd/concentrator/reg", true},
		{"concentrator", "periph.io/x/conn/v3/spi", true},
		{"concentrator", "gatewayd/nsedge", false},
		{"concentrator", "gatewayd/concentrator/sx1302sim", false},
		{"nsedge", "gatewayd/concentrator", false},
		{"nsedge", "gatewayd/nsedge/store", true},
		{"nsedge", "go.etcd.io/bbolt", false},
		{"nsedge/store", "go.etcd.io/bbolt", true},
		{"nsedge/region", "gatewayd/nsedge", false},
		{"dataapi", "gatewayd/nsedge", true},
		{"dataapi", "gatewayd/concentrator/reg", false},
		{"dataapi", "gatewayd/nsedge/store", false},
		{"dataapi", "github.com/brocaar/lorawan", false},
		{"dataapi", "github.com/gorilla/websocket", true},
		{"dataapi/other", "gatewayd/dataapi", true}, // no row of its own
		{"dataapi/gui", "gatewayd/dataapi", false},
		{"dataapi", "gatewayd/dataapi/gui", true},
		{"cmd/gatewayd", "periph.io/x/host/v3", false},
		{"cmd/gatewayd/config", "gatewayd/board", true},
		{"board", "periph.io/x/host/v3/gpioioctl", true},
		{"radio", "golang.org/x/sys/unix", false},
		{"radio/air", "gatewayd/radio", true},
		{"radio/air", "gatewayd/concentrator", false},
		{"helpers", "gatewayd/radio", false},
	} {
		if v := violation(c.pkg, c.imported); (v == "") != c.allowed {
			t.Errorf("%s imports %s: allowed %v, verdict %q", c.pkg, c.imported, c.allowed, v)
		}
	}
}

func TestFoldersHaveTheirNames(t *testing.T) {
	top := []string{"cmd", "radio", "concentrator", "nsedge", "dataapi", "board", "scripts", "docs", "bin", "dist"}
	banned := []string{"internal", "pkg", "util", "utils", "common", "models", "helpers"}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir() || path == ".":
			return nil
		case strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules":
			return fs.SkipDir
		case slices.Contains(banned, d.Name()):
			t.Errorf("%s: a folder is named for what is in it", path)
		case !strings.Contains(path, string(filepath.Separator)) && !slices.Contains(top, path):
			t.Errorf("%s: top-level folders are %s", path, strings.Join(top, " "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "Makefile", "LICENSE", "CHANGELOG.md"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
