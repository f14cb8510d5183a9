package lab

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

func TestABubbleNeedsNoTestRunner(t *testing.T) {
	var passed time.Duration
	if err := Virtual(func() {
		start := time.Now()
		time.Sleep(100 * time.Hour)
		passed = time.Since(start)
	}); err != nil {
		t.Fatal(err)
	}
	if passed != 100*time.Hour {
		t.Errorf("%v passed", passed)
	}
}

// begun is a bench whose network nobody may ask.
func begun() *Bench {
	b := New(Config{})
	b.Begin(radio.EUI64{}, new(nsedge.Edge), nil, nil)
	return b
}

// play runs the one case of a script on a bench without a network.
func play(t *testing.T, text string) CaseResult {
	t.Helper()
	s, err := Load("case.star", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(t.Context(), begun(), s.Cases[0])
}

func TestACaseEndsAsWhatItIs(t *testing.T) {
	for text, c := range map[string]struct {
		outcome Outcome
		message string
		where   string
	}{
		"def test_a():\n  check(1 < 2)":                            {Passed, "", ""},
		"def test_a():\n  check(2 < 1, 'two is less than one')":    {Failed, "check failed: two is less than one", "case.star:2"},
		"def test_a():\n  fail('no')":                              {Failed, "no", "case.star:2"},
		"def test_a():\n  skip('not here')":                        {Skipped, "not here", "case.star:2"},
		"def test_a():\n  wait(-1)":                                {Broken, "wait: wrong call: seconds is -1; 0 or more is allowed", "case.star:2"},
		"def test_a():\n  wait(secs = 1)":                          {Broken, `wait: wrong call: unknown argument "secs"`, "case.star:2"},
		"def test_a():\n  wait(seconds = 'long')":                  {Broken, "wait: wrong call: seconds is a string; a lab.Seconds is wanted", "case.star:2"},
		"def test_a():\n  expect_uplink()":                         {Broken, "expect_uplink: wrong call: device 0000000000000000 is not on the bench; call device(...) or dut() first", "case.star:2"},
		"def test_a():\n  expect_uplink(1, 2)":                     {Broken, "wrong call: expect_uplink takes its arguments by name, such as expect_uplink(within = 30)", "case.star:2"},
		"def helper():\n  check(False)\ndef test_a():\n  helper()": {Failed, "check failed: it is not so", "case.star:2"},
		"def test_a():\n  while True:\n    pass":                   {Broken, "too many steps", ""},
	} {
		got := play(t, text)
		if got.Outcome != c.outcome || !strings.Contains(got.Message, c.message) || c.message == "" && got.Message != "" {
			t.Errorf("%q: %s: %q, want %s: %q", text, got.Outcome, got.Message, c.outcome, c.message)
		}
		if c.where != "" && got.Where != c.where {
			t.Errorf("%q failed at %q, want %q", text, got.Where, c.where)
		}
	}
}

func TestAScriptWithoutCasesOrWithFaultsIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"x = 1":             `begins with "test_"`,
		"def test_a(:\n  p": "case.star:1:13",
	} {
		if _, err := Load("case.star", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

func TestACaseThatIsCancelledEnds(t *testing.T) {
	s, err := Load("case.star", []byte("def test_a():\n  wait(3600)"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if got := s.Run(ctx, begun(), "test_a"); got.Outcome != Broken {
		t.Errorf("%+v", got)
	}
}

func TestAnUnknownVerbIsToldWithThoseThereAre(t *testing.T) {
	_, err := New(Config{}).Call(t.Context(), "teleport", nil)
	if !errors.Is(err, ErrCall) || !strings.Contains(err.Error(), "expect_uplink") {
		t.Error(err)
	}
}

func TestTheReportIsReadByPeopleAndByCI(t *testing.T) {
	r := Report{Script: "join.star", Target: "healthy", Cases: []CaseResult{
		{Case: "test_good", Outcome: Passed, Took: time.Second, Steps: []Step{{Text: "dut", Line: "join.star:1"}}},
		{Case: "test_bad", Outcome: Failed, Message: "no <uplink>", Where: "join.star:7", Took: 2 * time.Second, Steps: []Step{{At: time.Second, Text: "expect_join", Line: "join.star:6"}}},
		{Case: "test_odd", Outcome: Broken, Message: "wrong call"},
		{Case: "test_not", Outcome: Skipped, Message: "real devices only"},
	}}
	if r.Passed() {
		t.Error("a run with a failure passed")
	}
	var text, x bytes.Buffer
	if err := errors.Join(r.Tell(&text), r.JUnit(&x)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"failed   test_bad", "no <uplink>", "at join.star:7", "1.000 s  join.star:6  expect_join", "1 passed, 1 failed, 1 broken, 1 skipped"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &text)
		}
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(x.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 4 || suite.Failures != 1 || suite.Errors != 1 || suite.Skipped != 1 || suite.Cases[1].Failure == nil || suite.Cases[1].Failure.Message != "no <uplink>" {
		t.Errorf("%+v\n%s", suite, &x)
	}
}

func FuzzScriptsNeverBreakTheBench(f *testing.F) {
	f.Add("def test_a():\n  wait(0)")
	f.Add("def test_a():\n  fault('drop', amount = 1)\n  x = [1, {'a': 2}]\n  print(x)")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Load("case.star", []byte(text))
		if err != nil || len(text) > 200 || strings.Contains(text, "wait") || strings.Contains(text, "silence") {
			return
		}
		s.Run(t.Context(), begun(), s.Cases[0])
	})
}
