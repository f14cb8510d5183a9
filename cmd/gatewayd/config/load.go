package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Fault is one thing that is wrong with a configuration file.
type Fault struct {
	File    string
	Line    int    // 0 where no line is to blame
	Key     string // e.g. "dataapi.listen"
	Value   string // as it stands in the file; "" where it doesn't
	Problem string // what is wrong, what is allowed, what to do
}

// Error is one line: file:line: key = value: problem.
func (f Fault) Error() string {
	s := f.File
	if f.Line > 0 {
		s += fmt.Sprintf(":%d", f.Line)
	}
	if f.Key != "" {
		s += ": " + f.Key
		if f.Value != "" {
			s += " = " + f.Value
		}
	}
	return s + ": " + f.Problem
}

// Faults is everything that is wrong with a file, in the order of its lines.
type Faults []Fault

// Error is one line per fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads and checks a file. The error is a [Faults], or what the file
// system said.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w (\"gatewayd config print\" writes a complete file to start from)", err)
	}
	return Parse(path, text)
}

// Parse is [Load] with the file's content given.
func Parse(file string, text []byte) (Config, error) {
	c := Default()
	where, err := locate(text)
	if err != nil {
		return Config{}, Faults{syntaxFault(file, text, err)}
	}
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, decodeFaults(file, where, err)
	}
	faults := c.check()
	for i := range faults {
		at := where[faults[i].Key]
		faults[i].File, faults[i].Line = file, at.line
		if at.value != "" {
			faults[i].Value = at.value
		}
	}
	if len(faults) > 0 {
		slices.SortStableFunc(faults, func(a, b Fault) int { return a.Line - b.Line })
		return Config{}, faults
	}
	return c, nil
}

// place is where a key stands in the file, and with which value.
type place struct {
	line  int
	value string
}

// locate finds the line of each key; the decoder itself forgets them.
func locate(text []byte) (map[string]place, error) {
	where := map[string]place{}
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			name, line := dotted(&p, e)
			where[name] = place{line: line}
			table = name + "."
		case unstable.KeyValue:
			locateValue(&p, e, table, where)
		}
	}
	return where, p.Error()
}

func locateValue(p *unstable.Parser, e *unstable.Node, table string, where map[string]place) {
	name, line := dotted(p, e)
	value := e.Value()
	if value.Kind == unstable.InlineTable {
		where[table+name] = place{line: line}
		for it := value.Children(); it.Next(); {
			locateValue(p, it.Node(), table+name+".", where)
		}
		return
	}
	where[table+name] = place{line, string(p.Raw(value.Raw))}
}

func dotted(p *unstable.Parser, e *unstable.Node) (name string, line int) {
	var parts []string
	for it := e.Key(); it.Next(); {
		if line == 0 {
			line = p.Shape(it.Node().Raw).Start.Line
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), line
}

func syntaxFault(file string, text []byte, err error) Fault {
	f := Fault{File: file, Problem: err.Error()}
	if pe := (*unstable.ParserError)(nil); errors.As(err, &pe) {
		f.Problem = "no valid TOML: " + pe.Message
		if at := cap(text) - cap(pe.Highlight); at >= 0 && at <= len(text) {
			f.Line = 1 + bytes.Count(text[:at], []byte("\n"))
		}
	}
	return f
}

// decodeFaults makes faults of what the decoder said: unknown keys (all of
// them), or the first value of a wrong type.
func decodeFaults(file string, where map[string]place, err error) error {
	if se := (*toml.StrictMissingError)(nil); errors.As(err, &se) {
		var faults Faults
		for _, e := range se.Errors {
			line, _ := e.Position()
			key := strings.Join(e.Key(), ".")
			faults = append(faults, Fault{File: file, Line: line, Key: key, Problem: "unknown key; " + suggest(key)})
		}
		return faults
	}
	if de := (*toml.DecodeError)(nil); errors.As(err, &de) {
		line, _ := de.Position()
		key := strings.Join(de.Key(), ".")
		problem := strings.TrimPrefix(de.Error(), "toml: ")
		if want, ok := kinds()[key]; ok {
			problem = "wrong type; " + want
		}
		return Faults{{File: file, Line: line, Key: key, Value: where[key].value, Problem: problem}}
	}
	return Faults{{File: file, Problem: err.Error()}}
}
