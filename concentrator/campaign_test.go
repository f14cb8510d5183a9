package concentrator

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestFaultCampaign lets everything go wrong that can, one thing at a time,
// and counts. Each case must end in recovery (the same run receives and
// transmits on) or in an error that a caller can tell from others, after
// which a new run works. No case may hang, panic, or put anything on the air
// at another instant than was planned; after each case nothing is left in the
// transmitters.
//
// By default the biggest dimensions are sampled, always the same cases.
// GATEWAYD_CAMPAIGN=full runs all; of the two thousand transfers of a start
// with SX1255 or SX1257 radios, most of which are one dialogue over and over,
// every sixteenth or twenty-fourth.
func TestFaultCampaign(t *testing.T) {
	full := os.Getenv("GATEWAYD_CAMPAIGN") == "full"
	var dimensions []*dimension
	t.Run("", func(t *testing.T) {
		for _, d := range campaignDimensions() {
			dimensions = append(dimensions, d)
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				d.full = full
				d.run(t, d)
			})
		}
	})
	var cases, of, recovered int
	t.Logf("%-52s %6s %6s %9s %6s", "fault campaign", "cases", "of", "recovered", "ended")
	for _, d := range dimensions {
		t.Logf("%-52s %6d %6d %9d %6d", d.name, d.cases, d.of, d.recovered, d.cases-d.recovered)
		cases, of, recovered = cases+d.cases, of+d.of, recovered+d.recovered
		if d.cases == 0 {
			t.Errorf("%s: no case was run", d.name)
		}
	}
	t.Logf("%-52s %6d %6d %9d %6d", "all", cases, of, recovered, cases-recovered)
}

// dimension is one kind of thing that goes wrong, and its tally. Each has one
// goroutine.
type dimension struct {
	name string
	run  func(*testing.T, *dimension)
	full bool

	cases, of, recovered int
}

// take tells whether the nth case of the dimension is run: all, or every one
// in so many.
func (d *dimension) take(every int) bool { return d.takeOn(rig{rarer: 1}, every) }

// takeOn is take on a board whose cases are many and alike.
func (d *dimension) takeOn(r rig, every int) bool {
	d.of++
	every *= r.rarer
	if d.full {
		every = max(r.rarer/6, 1)
	}
	if d.of%every != 0 {
		return false
	}
	d.cases++
	return true
}

// campaignDimensions lists what is tried.
func campaignDimensions() []*dimension {
	var list []*dimension
	add := func(name string, run func(*testing.T, *dimension)) {
		list = append(list, &dimension{name: name, run: run})
	}
	for _, r := range rigs {
		for _, f := range transferFaults {
			add(words(r.name, "start: transfer", f.name), f.start(r))
		}
	}
	for _, f := range transferFaults {
		add(words("receive: transfer", f.name), f.receive)
	}
	for _, w := range ways {
		for _, f := range transferFaults {
			add(words(w.name+": transfer", f.name), f.transmit(w))
		}
	}
	for _, r := range rigs {
		add(words(r.name, "MCU answer withheld"), eachAnswer(r, false, withheld))
		add(words(r.name, "MCU answer late by 100 ms"), eachAnswer(r, true, late))
		add(words(r.name, "MCU answer garbled"), eachAnswer(r, false, garbled))
	}
	add("counter torn", tornCounters)
	add("byte count torn", tornCounts)
	add("receive buffer corrupted", corruptedBuffer)
	add("receive buffer corrupted, decoder", corruptedBytes)
	return list
}

func words(list ...any) string { return strings.TrimSuffix(fmt.Sprintln(list...), "\n") }
