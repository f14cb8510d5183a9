package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
)

// demoFor runs the demo for some virtual time and returns its story.
func demoFor(t *testing.T, o demoOptions) string {
	t.Helper()
	return demoUnder(t, setup{}, o)
}

// demoUnder is demoFor in another world.
func demoUnder(t *testing.T, s setup, o demoOptions) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, s)
		defer w.close()
		w.must(tellDemo(t.Context(), w.cfg, w.parts, newStory(&out, o.json), o))
	})
	return out.String()
}

// The story that a newcomer sees: everything that happens has its line, and
// it happens soon.
func TestDemoTellsTheStory(t *testing.T) {
	story := demoFor(t, demoOptions{last: time.Minute, devices: usual(3)})
	for _, want := range []string{
		`npx wscat -c "ws://pipe/api/v1\.0/data\?access_token=[0-9a-f]{32}&radio=1"`,
		`(?m)^ +0\.\d{3}  ready .*EU868$`,
		`(?m)^ +[0-2]\.\d{3}  join     sensor-1 .* asks to join`,
		`(?m)^ +[5-8]\.\d{3}  heard    sensor-1  join in RX1, 5 000 000 µs after its uplink: 0 µs off  has joined, address [0-9a-f]{8}$`,
		`(?m)^ +[5-8]\.\d{3}  uplink   sensor-1  #0 +DR5 86\d\.\d00 MHz +-\d+ dBm +\d+\.\d dB  port 1 "20\.5 C"$`,
		`(?m)^.* request  sensor-1  #0 +an answer of at most \d+ bytes is taken for another 99\d ms$`,
		`(?m)^.* answer   sensor-1  #0 +the example AS says "ack 0", `,
		`(?m)^.* downlink sensor-1  #0 .* RX1 planned [\d ]+ armed [\d ]+ on air [\d ]+ µs: 0 µs off, margin [\d.]+ ms  port 1 "ack 0"$`,
		`(?m)^.* heard    meter-3   #0 +in RX1, 1 000 000 µs after its uplink: 0 µs off  port 2 "ack 0"$`,
		`(?m)^.* heard    sensor-2  #0 +in RX1, 15 000 000 µs after its uplink: 0 µs off  port 1 "ack 0"$`,
		`(?m)^2 joins and \d+ uplinks in 1m0s, 0 errors$`,
		`(?m)^\d+ downlinks, all on the planned microsecond \(the devices heard \d+, 0 µs off\); smallest margin [\d.]+ ms$`,
	} {
		if !regexp.MustCompile(want).MatchString(story) {
			t.Errorf("no line like %s", want)
		}
	}
	if t.Failed() {
		t.Log(story)
	}
}

// Ctrl-C may come between a downlink's schedule and its start.
func TestADownlinkThatTheEndOvertakesIsNoError(t *testing.T) {
	story := demoFor(t, demoOptions{last: 8 * time.Second, devices: usual(3)}) // sensor-1's RX1 is at 8.7 s
	if !strings.Contains(story, ", 0 errors\n") {
		t.Error(story)
	}
	var out bytes.Buffer
	s, over := newStory(&out, false), make(chan struct{})
	s.over = over
	failed := &nsedge.Notice{Level: nsedge.Error, Code: nsedge.CodeDownlinkFailed, Message: "transmitter stopped"}
	s.Publish(failed)
	close(over)
	s.Publish(failed)
	s.Summary()
	if text := out.String(); strings.Count(text, " error ") != 1 || strings.Count(text, " stopped ") != 1 || !strings.Contains(text, ", 1 error\n") {
		t.Error(text)
	}
}

func TestDemoAsJSONIsOneObjectPerLine(t *testing.T) {
	story := demoFor(t, demoOptions{last: 30 * time.Second, devices: usual(2), json: true})
	events := map[string]int{}
	for text := range strings.Lines(story) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		events[l.Event]++
	}
	for _, e := range []string{"ready", "invite", "join", "uplink", "request", "answer", "downlink", "heard", "summary"} {
		if events[e] == 0 {
			t.Errorf("no %s in %v", e, events)
		}
	}
}

func TestQuietDemoLeavesTheAnswersToPeople(t *testing.T) {
	story := demoFor(t, demoOptions{last: 30 * time.Second, devices: usual(3), quietAS: true})
	if strings.Contains(story, "example AS") {
		t.Error("the example AS spoke")
	}
	// The confirmed uplink of the ABP device is acknowledged all the same.
	if !regexp.MustCompile(`heard    meter-3   #0 .*no payload`).MatchString(story) {
		t.Errorf("no acknowledgement:\n%s", story)
	}
}

func TestDemoWithoutDevicesWaitsForYours(t *testing.T) {
	story := demoFor(t, demoOptions{last: time.Second})
	if !strings.Contains(story, "0 downlinks, none was due") {
		t.Error(story)
	}
}

// The devices' keys and counters are kept: a second run on the same state
// goes on where the first ended, without a DevNonce or counter used twice.
func TestDemoGoesOnWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{})
		var first, second bytes.Buffer
		o := demoOptions{last: 25 * time.Second, devices: usual(3), state: "kept"}
		w.must(tellDemo(t.Context(), w.cfg, w.parts, newStory(&first, false), o))
		w.must(w.parts.hardware.Close())
		again := newWorld(t, setup{})
		defer again.close()
		st := again.parts.store
		again.parts.store = w.parts.store
		w.must(tellDemo(t.Context(), again.cfg, again.parts, newStory(&second, false), o))
		again.parts.store = st
		w.must(w.parts.store.Close())
		if !strings.Contains(first.String(), "asks to join") || strings.Contains(second.String(), "asks to join") {
			t.Error("the second run joined again, or the first did not")
		}
		for _, bad := range []string{"error ", "warning ", "refused"} {
			if strings.Contains(second.String(), bad) {
				t.Errorf("%q in\n%s", bad, second.String())
			}
		}
		if strings.Contains(second.String(), `"1000 kWh"`) && strings.Contains(second.String(), "uplink   meter-3   #0 ") {
			t.Error("the counter began again")
		}
	})
}

// What goes wrong is told, and counted in the verdict.
func TestStoryTellsWhatIsOff(t *testing.T) {
	var out bytes.Buffer
	s := newStory(&out, false)
	eui := radio.EUI64{1}
	meta := nsedge.Meta{Device: eui}
	s.Publish(&nsedge.DownlinkEvent{Meta: meta, Timing: nsedge.Timing{Window: "RX1", Planned: 100, Started: 103}})
	s.Publish(&nsedge.Notice{Meta: meta, Level: nsedge.Error, Code: nsedge.CodeDownlinkLate, Message: "too late by 3 ms"})
	s.Publish(&nsedge.Notice{Meta: meta, Level: nsedge.Warning, Code: nsedge.CodeDownlinkNoAnswer, Message: "nobody answered"})
	s.Publish(&nsedge.Notice{Meta: meta, Level: nsedge.Info, Code: nsedge.CodeUplinkProcessed, Message: "not worth a line"})
	s.Publish(&nsedge.UplinkEvent{Meta: meta, Duplicate: true})
	s.Heard(eui, enddevice.Rejected{Arrival: enddevice.Arrival{Window: "RX1", Offset: 5 * time.Microsecond}, Reason: enddevice.ErrNotJoined})
	s.Summary()
	for _, want := range []string{"3 µs off, margin", "error", "too late by 3 ms", "warning", "nobody answered", "5 µs off", "refused it", "1 off the planned instant, the worst by 3 µs", "1 error"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "not worth a line") || strings.Contains(out.String(), "uplink  ") {
		t.Error(out.String())
	}
}

func TestStoryShowsPayloadsAsPeopleReadThem(t *testing.T) {
	for _, c := range []struct {
		port    uint8
		payload []byte
		sealed  []byte
		want    string
	}{
		{0, nil, nil, "no payload"},
		{1, []byte("21.5 C"), []byte("xxxxxx"), `port 1 "21.5 C"`},
		{2, []byte{0, 1, 255}, []byte("xxx"), "port 2 0001ff"},
		{3, nil, []byte("xxx"), "port 3 3 bytes, encrypted"},
	} {
		if got := content(c.port, c.payload, c.sealed); got != c.want {
			t.Errorf("%d %x %x: %q, want %q", c.port, c.payload, c.sealed, got, c.want)
		}
	}
	for i, want := range map[radio.Instant]string{0: "0", 999: "999", 1000: "1 000", 12345678: "12 345 678", -1000: "-1 000"} {
		if got := micros(i); got != want {
			t.Errorf("%d: %q, want %q", int64(i), got, want)
		}
	}
}
