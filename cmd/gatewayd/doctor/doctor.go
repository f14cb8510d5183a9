// Package doctor finds out why a gateway doesn't work: it looks at the host,
// at the wiring and at the chip, step by step from the outside in, says of
// each step what it expected and what it saw, and ends with the next thing
// that a person should do.
//
//	doctor.go  steps, verdicts, the report    print.go   as text
//	host.go    what is asked of the host      system.go  the machine: model, kernel, power
//	wiring.go  overlays, nodes, lines         state.go   firmware, clock, storage, ports
//	chip.go    the chip and what to do        bundle.go  a support bundle without secrets
//
// [Examine] changes nothing but the chip, and that only if the caller gave it
// one: whether the lines of a board may be driven is for a person to say.
package doctor

import (
	"context"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
)

// Verdict is what a step is worth.
type Verdict string

// Verdicts. A gateway works with notes.
const (
	OK      Verdict = "ok"
	Note    Verdict = "note"
	Bad     Verdict = "bad"
	Skipped Verdict = "skipped"
)

// Check is one step.
type Check struct {
	Step     string  `json:"step"`
	Expected string  `json:"expected"`
	Seen     string  `json:"seen"`
	Verdict  Verdict `json:"verdict"`
	Next     string  `json:"next,omitempty"` // what a person should do; "" where nothing is to be done
}

// Report is what an examination found.
type Report struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	Board   string    `json:"board"`
	Region  string    `json:"region"`
	Checks  []Check   `json:"checks"`
	Verdict Verdict   `json:"verdict"` // the worst of them
	Next    string    `json:"next"`    // the first step of the worst ones
}

// Subject is what is examined.
type Subject struct {
	Version string
	Config  config.Config
	Board   board.Board // with what the configuration changes of it
	Radios  []concentrator.RadioType
	Host    Host
	Daemon  bool // a daemon runs: the chip and the ports are its

	// Chip examines the chip; nil: it is left alone, for the reason NoChip.
	Chip   func(ctx context.Context, found func(concentrator.Finding)) error
	NoChip string

	// Satellites listens to the satellite receiver for a while; nil: there is
	// none.
	Satellites func(ctx context.Context) (gnss.Status, error)
}

// emulated tells whether the chip is the simulated one inside the daemon.
func (s *Subject) emulated() bool { return s.Config.Emulated() }

// Examine looks at everything and tells of each step as it is made; tell may
// be nil. It ends early with ctx.
func Examine(ctx context.Context, s Subject, tell func(Check)) Report {
	r := Report{Version: s.Version, At: time.Now().UTC(), Board: s.Board.Name, Region: s.Config.Region.Name}
	add := func(c Check) {
		r.Checks = append(r.Checks, c)
		if tell != nil {
			tell(c)
		}
	}
	for _, look := range []func() []Check{
		s.machine, s.wiring, s.state,
		func() []Check { return s.satellites(ctx) },
	} {
		for _, c := range look() {
			add(c)
		}
		if ctx.Err() != nil {
			break
		}
	}
	s.chip(ctx, add)
	r.judge()
	return r
}

// judge makes the verdict of the whole.
func (r *Report) judge() {
	r.Verdict = OK
	for _, v := range []Verdict{Bad, Note} {
		for _, c := range r.Checks {
			if c.Verdict == v {
				r.Verdict, r.Next = v, c.Next
				return
			}
		}
	}
}

// check makes a step's verdict: good, or worse with what to do.
func check(step, expected, seen string, good bool, worse Verdict, next string) Check {
	if good {
		return Check{step, expected, seen, OK, ""}
	}
	return Check{step, expected, seen, worse, next}
}

func skipped(step, expected, why string) Check { return Check{step, expected, why, Skipped, ""} }
