package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"gatewayd/concentrator/sx1302sim"
)

func TestDevicesOfTheDemoAreANumberOrAList(t *testing.T) {
	for text, want := range map[string]string{
		"3": "3", "0": "0", "A": "A", "2xA,1.0B,1.1C": "A,A,1.0B,1.1C", "1.1A, 3xB": "1.1A,B,B,B", "100xC": strings.Repeat("C,", 99) + "C",
		"2x1.1A-abp,B-group": "1.1A-abp,1.1A-abp,B-group", "C-abp,2xC-group": "C-abp,C-group,C-group",
	} {
		var r roles
		if err := r.Set(text); err != nil || r.String() != want {
			t.Errorf("%q: %v, %v, want %s", text, r.String(), err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "101", "A,", "1.2A", "D", "xA", "101xA", "60xA,60xB", "1000xA", "A-group", "1.1B-group", "B-abp-group", "A-otaa"} {
		r := usual(1)
		if err := r.Set(text); err == nil || r.String() != "1" {
			t.Errorf("%q was taken: %s", text, r.String())
		}
	}
}

// A demo with a device of each kind: all join, the one of class B finds the
// beacon, and what the application has for B and C is heard without an uplink.
func TestTheDemoPlaysAllClassesAndVersions(t *testing.T) {
	var o demoOptions
	if err := o.devices.Set("1.0A,1.1A,B,1.1B,C,1.1C"); err != nil {
		t.Fatal(err)
	}
	o.last = 7 * time.Minute
	story := demoUnder(t, setup{sky: &sx1302sim.PPS{}}, o)
	wantLines(t, story,
		`(?m)^.* heard    sensor-1 .* has joined`, `(?m)^.* heard    sensor-2 .* has joined`,
		`(?m)^.* heard    valve-3 .* has joined`, `(?m)^.* heard    lamp-6 .* has joined`,
		`(?m)^.* beacon   valve-3 .* 869\.525 MHz`, `(?m)^.* class    valve-3 .*is in class B now`, `(?m)^.* class    valve-4 .*is in class B now`,
		`(?m)^.* heard    valve-3 .* in its ping slot`, `(?m)^.* heard    valve-4 .* in its ping slot`,
		`(?m)^.* heard    lamp-5 .* in RXC`, `(?m)^.* heard    lamp-6 .* in RXC`,
		`(?m)^6 joins and \d+ uplinks in 7m0s, 0 errors$`,
		`(?m)^\d+ downlinks, all on the planned microsecond`,
	)
}

// The same without joins, and with groups that the devices belong to.
func TestTheDemoPlaysPersonalisedDevicesAndGroups(t *testing.T) {
	var o demoOptions
	if err := o.devices.Set("3x1.1A-abp,C-abp,B-group,C-group,1.1B-abp"); err != nil {
		t.Fatal(err)
	}
	// The class B device begins last: in the year 2000 of virtual time, the host's
	// clock is some leap seconds off the receiver, which needs 2 s to begin.
	o.last = 6 * time.Minute
	wantLines(t, demoUnder(t, setup{sky: &sx1302sim.PPS{}}, o),
		`(?m)^.* heard    sensor-1 .* in RX1`, `(?m)^.* class    valve-7 .*is in class B now`,
		`(?m)^.* heard    valve-7 .* in its ping slot.*"$`, `(?m)^.* heard    valve-7 .* in its ping slot.* to its group$`,
		`(?m)^.* heard    lamp-4 .* in RXC.*"$`, `(?m)^.* heard    lamp-4 .* in RXC.* to its group$`,
		`(?m)^.* downlink group-6 `, `(?m)^.* downlink group-5 `,
		`(?m)^0 joins and \d+ uplinks in 6m0s`,
		`(?m)^\d+ downlinks, all on the planned microsecond`,
	)
}

// wantLines wants lines of a story.
func wantLines(t *testing.T, story string, patterns ...string) {
	t.Helper()
	for _, want := range patterns {
		if !regexp.MustCompile(want).MatchString(story) {
			t.Errorf("no line like %s", want)
		}
	}
	if t.Failed() {
		t.Log(story)
	}
}
