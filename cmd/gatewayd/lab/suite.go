package lab

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed suite/*.star
var suiteFiles embed.FS

// ErrSuite says that the suite has no such part.
var ErrSuite = errors.New("no such part of the suite")

// Suite is the pre-certification suite: the scripts with these names, all
// without one.
func Suite(names ...string) ([]*Script, error) {
	entries, err := suiteFiles.ReadDir("suite")
	if err != nil {
		return nil, err
	}
	var out []*Script
	var known []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".star")
		known = append(known, name)
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		text, err := suiteFiles.ReadFile(path.Join("suite", e.Name()))
		if err != nil {
			return nil, err
		}
		script, err := Load("suite/"+e.Name(), text)
		if err != nil {
			return nil, err
		}
		out = append(out, script)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%w: %q; there are %s", ErrSuite, name, strings.Join(known, ", "))
		}
	}
	return out, nil
}
