package dataapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// fieldRow is a line of testdata/fields.txt.
type fieldRow struct {
	message, path, kind string
	when                []string
}

func fieldRows(t *testing.T) (rows []fieldRow) {
	t.Helper()
	text, err := os.ReadFile("testdata/fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) != 4 {
			t.Fatalf("%q has %d columns, 4 are wanted", line, len(f))
		}
		row := fieldRow{f[0], f[1], f[2], strings.Split(f[3], "&")}
		if f[3] == "-" {
			row.when = nil
		}
		rows = append(rows, row)
	}
	return rows
}

// sample is an event, and under which conditions the table sees it.
type sample struct {
	message string // as the table calls it
	event   nsedge.Event
	shape   shape
	holds   []string
}

// full are events of which everything is known; bare are the same with
// nothing that may be missing.
func full() []nsedge.Event {
	up, down := realEvent(), realDownlink()
	up.Frame.MACCommands = []nsedge.MACCommand{{Name: "LinkCheckReq"}}
	down.Radio.GPSTime = time.Hour
	down.Frame.MACCommands = down.Frame.MACCommands[:1]
	late := &nsedge.Timing{Window: "RX2", Planned: 7, Margin: -time.Millisecond, Late: "as"}
	return []nsedge.Event{
		up, down, realRequest(),
		&nsedge.JoinRequest{Meta: realMeta(), DevAddr: realMeta().DevAddr, DevNonce: 1, CFList: make([]byte, 16)},
		&nsedge.StatusResponse{Meta: realMeta(), Battery: 255, SNR: -7, RXTime: time.Unix(5, 1000)},
		&nsedge.Location{Meta: realMeta(), Solutions: []nsedge.Solution{{Lat: 1.5, Lng: 2.5, Precision: 300, Method: "simple:moving"}}},
		&nsedge.Notice{Meta: realMeta(), Level: nsedge.Error, Code: "c", Message: "m", Timing: late},
		&nsedge.Notice{Meta: realMeta(), Level: nsedge.Warning, Code: "c", Message: "m", Timing: late},
		&nsedge.Notice{Meta: realMeta(), Level: nsedge.Info, Code: "c", Message: "m", Timing: late},
	}
}

func bare() []nsedge.Event {
	up, down, request := realEvent(), realDownlink(), realRequest()
	up.Payload, up.Radio.GPSTime, up.Radio.DataRate, up.Tags = nil, 0, -1, nil
	down.Payload, down.Encrypted, down.Radio.DataRate, down.Tags = nil, []byte{1}, -1, nil
	down.Frame.MACCommands = nil
	down.Timing.Armed, down.Timing.Started, down.Timing.Ended = 0, 0, 0
	device := nsedge.Meta{Device: realMeta().Device, Application: realMeta().Application, Time: realMeta().Time}
	request.Meta = device
	request.PacketHash = realMeta().PacketHash
	alone := nsedge.Meta{Time: realMeta().Time}
	return []nsedge.Event{
		up, down, request,
		&nsedge.JoinRequest{Meta: realMeta(), DevAddr: realMeta().DevAddr},
		&nsedge.StatusResponse{Meta: device, RXTime: time.Unix(5, 0)},
		&nsedge.Location{Meta: device, Solutions: []nsedge.Solution{{Method: "simple:moving"}}},
		&nsedge.Notice{Meta: alone, Level: nsedge.Error, Code: "c", Message: "m"},
		&nsedge.Notice{Meta: alone, Level: nsedge.Warning, Code: "c", Message: "m"},
		&nsedge.Notice{Meta: alone, Level: nsedge.Info, Code: "c", Message: "m"},
	}
}

// samples are all events in all shapes, in both modulations.
func samples() (all []sample) {
	for known, events := range map[bool][]nsedge.Event{true: full(), false: bare()} {
		for _, ev := range events {
			for s := range shape(2 * shapes) {
				if s.of(kindOf(ev)) != s {
					continue // the same as another
				}
				for _, fsk := range []bool{false, true} {
					all = append(all, sampleOf(ev, s, known, fsk))
				}
			}
		}
	}
	return all
}

func sampleOf(ev nsedge.Event, s shape, known, fsk bool) sample {
	one := sample{message: kindOf(ev).String(), event: ev, shape: s}
	for _, c := range []struct {
		name  string
		holds bool
	}{{"known", known}, {"radio", s&withRadio != 0}, {"lora", s&withLoRa != 0}, {"numeric", s&withNumbers != 0}, {"plain", s&withNumbers == 0}, {"history", s&replayed != 0}, {"fsk", fsk}, {"lora-mod", !fsk}} {
		if c.holds {
			one.holds = append(one.holds, c.name)
		}
	}
	switch ev := ev.(type) {
	case *nsedge.Notice:
		one.message = "notice"
	case *nsedge.UplinkEvent:
		e := *ev
		if fsk {
			e.Radio.Mod = radio.FSK{BitRate: 50_000}
		}
		one.event = &e
	case *nsedge.DownlinkEvent:
		e := *ev
		if fsk {
			e.Radio.Mod = radio.FSK{BitRate: 50_000}
		}
		one.event = &e
	}
	return one
}

// The table of fields, against each message under each option: what has to be
// there is there in its type, and nothing else is.
func TestEachMessageHasTheFieldsOfTheTable(t *testing.T) {
	rows := fieldRows(t)
	used := make([]bool, len(rows))
	for _, s := range samples() {
		e := testEncoder(t)
		if !slices.Contains(s.holds, "known") {
			e.position = nil
		}
		there := map[string]any{}
		flatten(there, "", exact(t, string(e.event(s.event, realID, s.shape))))
		delete(there, "type")
		for i, r := range rows {
			if r.message != s.message || !r.applies(s.holds) {
				continue
			}
			used[i] = true
			value, ok := there[r.path]
			if !ok {
				t.Errorf("%s (%v) lacks %s", s.message, s.holds, r.path)
			} else if err := hasType(value, r.kind); err != nil {
				t.Errorf("%s (%v): %s: %v", s.message, s.holds, r.path, err)
			}
			delete(there, r.path)
		}
		for path, value := range there {
			t.Errorf("%s (%v) has %s (%v), which the table doesn't know there", s.message, s.holds, path, value)
		}
	}
	for i, r := range rows {
		if !used[i] {
			t.Errorf("no message shows %v", r)
		}
	}
}

func (r *fieldRow) applies(holds []string) bool {
	for _, w := range r.when {
		if !slices.Contains(holds, w) {
			return false
		}
	}
	return true
}

// flatten collects the leaves; lists of solutions are taken for their first.
func flatten(into map[string]any, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			flatten(into, strings.TrimPrefix(path+"."+name, "."), member)
		}
	case []any:
		if strings.HasSuffix(path, "solutions") {
			flatten(into, path, v[0])
			return
		}
		into[path] = v
	default:
		into[path] = v
	}
}

// numbers by type.
var (
	wholeText   = regexp.MustCompile(`^-?(0|[1-9]\d*)$`)
	decimalText = regexp.MustCompile(`^-?(0|[1-9]\d*)(\.\d*[1-9])?$`)
	microText   = regexp.MustCompile(`^(0|[1-9]\d*)(\.\d{0,5}[1-9])?$`)
)

func hasType(v any, kind string) error {
	ok := false
	switch v := v.(type) {
	case json.Number:
		text := v.String()
		ok = kind == "int" && wholeText.MatchString(text) || kind == "float" && decimalText.MatchString(text) || (kind == "unix" || kind == "MHz") && microText.MatchString(text)
	case bool:
		ok = kind == "bool"
	case string:
		digits, err := strconv.Atoi(strings.TrimPrefix(kind, "hex"))
		switch {
		case kind == "text":
			ok = true
		case kind == "base64":
			_, err := base64.StdEncoding.Strict().DecodeString(v)
			ok = err == nil
		case err == nil:
			ok = len(v) == digits && strings.Trim(v, "0123456789abcdef") == ""
		}
	case []any:
		ok = kind == "[text]" || kind == "[one]"
		for _, member := range v {
			switch member := member.(type) {
			case string:
				ok = ok && kind == "[text]"
			case map[string]any:
				ok = ok && kind == "[one]" && len(member) == 1
			default:
				ok = false
			}
		}
	}
	if !ok {
		return fmt.Errorf("%v (%T) is not of the type %s", v, v, kind)
	}
	return nil
}
