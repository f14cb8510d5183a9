package lab

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"go.starlark.net/starlark"
)

// Report is what came out of a run.
type Report struct {
	Script string
	Target string // what was tested
	Cases  []CaseResult
}

// Passed tells whether nothing failed.
func (r *Report) Passed() bool {
	for _, c := range r.Cases {
		if c.Outcome == Failed || c.Outcome == Broken {
			return false
		}
	}
	return true
}

// counts is a line of how many cases had each outcome.
func (r *Report) counts() string {
	n := map[Outcome]int{}
	for _, c := range r.Cases {
		n[c.Outcome]++
	}
	return fmt.Sprintf("%d passed, %d failed, %d broken, %d skipped\n", n[Passed], n[Failed], n[Broken], n[Skipped])
}

// Sum writes what several scripts came to, with the names of the cases that
// did not pass.
func (r *Report) Sum(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s: %d cases, %s", r.Target, len(r.Cases), r.counts())
	for _, c := range r.Cases {
		if c.Outcome == Failed || c.Outcome == Broken {
			fmt.Fprintf(&text, "%-8s %s\n", c.Outcome, c.Case)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// Tell writes the report for people: a line for each case, and of those that
// did not pass also the steps.
func (r *Report) Tell(w io.Writer) error {
	var text strings.Builder
	for _, c := range r.Cases {
		fmt.Fprintf(&text, "%-8s %-44s %9s\n", c.Outcome, c.Case, c.Took.Round(time.Millisecond))
		if c.Outcome == Passed {
			continue
		}
		fmt.Fprintf(&text, "         %s\n", c.Message)
		if c.Outcome == Skipped {
			continue
		}
		if c.Where != "" {
			fmt.Fprintf(&text, "         at %s, after these steps:\n", c.Where)
		}
		for _, s := range c.Steps {
			fmt.Fprintf(&text, "         %10.3f s  %s  %s\n", s.At.Seconds(), s.Line, s.Text)
		}
	}
	fmt.Fprintf(&text, "%s: %s", r.Script, r.counts())
	_, err := io.WriteString(w, text.String())
	return err
}

// junit is the XML that CI systems read (the format of Ant's JUnit task).
type junit struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     float64     `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string    `xml:"name,attr"`
	Class   string    `xml:"classname,attr"`
	Time    float64   `xml:"time,attr"`
	Failure *junitWhy `xml:"failure,omitempty"`
	Error   *junitWhy `xml:"error,omitempty"`
	Skipped *junitWhy `xml:"skipped,omitempty"`
	Out     string    `xml:"system-out,omitempty"`
}

type junitWhy struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as XML.
func (r *Report) JUnit(w io.Writer) error {
	out := junit{Name: r.Script}
	for _, c := range r.Cases {
		x := junitCase{Name: c.Case, Class: r.Target, Time: c.Took.Seconds()}
		for _, s := range c.Steps {
			x.Out += fmt.Sprintf("%.6f s %s %s\n", s.At.Seconds(), s.Line, s.Text)
		}
		why := &junitWhy{c.Message, c.Where}
		switch c.Outcome {
		case Failed:
			x.Failure = why
			out.Failures++
		case Broken:
			x.Error = why
			out.Errors++
		case Skipped:
			x.Skipped = why
			out.Skipped++
		}
		out.Tests++
		out.Time += x.Time
		out.Cases = append(out.Cases, x)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(out); err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// fromJSON makes a script's value of anything that marshals, such as the
// fields of a MAC command.
func fromJSON(s *speaker, v any) (starlark.Value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	in := json.NewDecoder(strings.NewReader(string(text)))
	in.UseNumber()
	var out any
	if err := in.Decode(&out); err != nil {
		return nil, err
	}
	return s.fromGo(numbers(out))
}

// numbers turns JSON's numbers into integers where they are.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case map[string]any:
		for k, x := range v {
			v[k] = numbers(x)
		}
		return v
	case []any:
		for i, x := range v {
			v[i] = numbers(x)
		}
		return v
	default:
		return v
	}
}
