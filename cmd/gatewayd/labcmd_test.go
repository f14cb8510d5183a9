package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// labRun runs gatewayd lab run --virtual with more arguments.
func labRun(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newLab(streams{out: &out, err: &out})
	cmd.SetArgs(append([]string{"run", "--virtual"}, args...))
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestTheShippedExamplesPassOnAHealthyDevice(t *testing.T) {
	files, err := filepath.Glob("lab/examples/*.star")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	out, err := labRun(t, files...)
	if err != nil || strings.Contains(out, "failed ") || strings.Count(out, "passed ") < len(files) {
		t.Errorf("%v\n%s", err, out)
	}
}

// The same seed makes the same run: each step at the same microsecond.
func TestAVirtualRunCanBeRepeated(t *testing.T) {
	script := filepath.Join(t.TempDir(), "again.star")
	if err := os.WriteFile(script, []byte("def test_a():\n  d = dut()\n  d.expect_join()\n  m = d.measure(uplinks = 10)\n  print(m)\n  fail('to see the steps')\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, _ := labRun(t, "--seed", "7", script)
	second, _ := labRun(t, "--seed", "7", script)
	other, _ := labRun(t, "--seed", "8", script)
	if first != second || !strings.Contains(first, "uplinks = 10") {
		t.Errorf("two runs with one seed differ:\n%s\n%s", first, second)
	}
	if first == other {
		t.Error("another seed made the same run")
	}
}

func TestALabRunSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--dut nobody lab/examples/join.star", "nobody"},
		{"--region MOON lab/examples/join.star", "MOON"},
		{"--case test_none lab/examples/join.star", "test_none"},
		{"missing.star", "missing.star"},
		{"--air 127.0.0.1:0 lab/examples/join.star", "healthy is a virtual device"},
		{"--config x.toml lab/examples/join.star", "--virtual: a real concentrator keeps to real time"},
		{"--config x.toml --air 127.0.0.1:0 lab/examples/join.star", "give one of them"},
		{"--power-cycle true lab/examples/join.star", "--config"},
		{"--dut lab/testdata/dut.json lab/examples/join.star", "give --air"},
	} {
		if _, err := labRun(t, strings.Fields(c.args)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.args, err, c.want)
		}
	}
}
