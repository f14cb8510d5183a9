package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"gatewayd/cmd/gatewayd/exampleas"
	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
)

// story writes what happens on the network, one aligned line per event (or
// one JSON object). Its methods may be called from any goroutine; lines never
// mix.
type story struct {
	start time.Time
	color bool
	json  bool
	names map[string]string // DevEUI -> what people call it

	mu    sync.Mutex
	out   io.Writer
	tally tally
}

// tally is what the last lines of the story sum up.
type tally struct {
	Joins     int           `json:"joins"`
	Uplinks   int           `json:"uplinks"`
	Downlinks int           `json:"downlinks"`
	OffTime   int           `json:"off_time"` // downlinks that didn't start at the planned instant
	Worst     int64         `json:"worst_error_us"`
	Failed    int           `json:"failed"` // errors that were told
	Margin    time.Duration `json:"smallest_margin_ns"`
	Heard     int           `json:"heard"`     // downlinks that the devices took
	HeardOff  int           `json:"heard_off"` // of these, not exactly at the start of a window
}

// line is one line of the story.
type line struct {
	T      float64 `json:"t"` // seconds since the start
	Event  string  `json:"event"`
	Device string  `json:"device,omitempty"`
	DevEUI string  `json:"dev_eui,omitempty"`
	Text   string  `json:"text"`
	Detail any     `json:"detail,omitempty"`

	tone string
}

// Tones are ANSI colours.
const (
	plain  = ""
	green  = "32"
	yellow = "33"
	red    = "31"
	cyan   = "36"
	faint  = "2"
)

func (s *story) print(l line) {
	l.T = float64(time.Since(s.start).Milliseconds()) / 1000
	if name, ok := s.names[l.Device]; ok {
		l.DevEUI, l.Device = l.Device, name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		text, err := json.Marshal(l)
		if err != nil {
			text = fmt.Appendf(nil, `{"event":"fault","text":%q}`, err)
		}
		fmt.Fprintf(s.out, "%s\n", text)
		return
	}
	text := fmt.Sprintf("%8.3f  %-8s %-9s %s", l.T, l.Event, l.Device, l.Text)
	if s.color && l.tone != plain {
		text = "\x1b[" + l.tone + "m" + text + "\x1b[0m"
	}
	fmt.Fprintln(s.out, text)
}

// note writes a line about no device.
func (s *story) note(event, format string, args ...any) {
	s.print(line{Event: event, Text: fmt.Sprintf(format, args...), tone: faint})
}

// Publish tells an event; it has the shape that the edge wants.
func (s *story) Publish(e nsedge.Event) {
	l := line{Device: e.About().Device.String()}
	switch e := e.(type) {
	case *nsedge.UplinkEvent:
		if e.Duplicate {
			return
		}
		s.count(func(t *tally) { t.Uplinks++ })
		l.Event, l.tone = "uplink", cyan
		l.Text = fmt.Sprintf("#%-3d %s  %s  %s", e.Counter, onAir(e.Radio), level(e.Radio), content(e.Port, e.Payload, e.Encrypted))
		l.Detail = uplinkDetail{e.Counter, e.Radio.DataRate, e.Radio.Freq, e.Radio.RSSI, e.Radio.SNR, e.Port, e.Payload}
	case *nsedge.DownlinkRequest:
		l.Event, l.tone = "request", faint
		l.Text = fmt.Sprintf("#%-3d an answer of at most %d bytes is taken for another %s",
			e.Counter, e.MaxSize, shortTime(time.Until(e.Deadline)))
	case *nsedge.DownlinkEvent:
		s.timing(&l, "downlink", e.Timing, fmt.Sprintf("#%-3d %s  %s", e.Counter, onAir(e.Radio), content(e.Port, e.Payload, e.Encrypted)))
	case *nsedge.JoinRequest:
		l.Event = "join?"
		l.Text = fmt.Sprintf("asks to join; the application server holds its key, address %s", e.DevAddr)
	case *nsedge.Notice:
		if !s.notice(&l, e) {
			return
		}
	default:
		return
	}
	s.print(l)
}

// notice fills in l and tells whether it is worth a line.
func (s *story) notice(l *line, e *nsedge.Notice) bool {
	l.Text = e.Message
	switch {
	case e.Code == nsedge.CodeJoinAccepted && e.Timing != nil:
		s.count(func(t *tally) { t.Joins++ })
		s.timing(l, "joined", *e.Timing, fmt.Sprintf("address %s", e.DevAddr))
		return true
	case e.Level == nsedge.Error:
		s.count(func(t *tally) { t.Failed++ })
		l.Event, l.tone = "error", red
	case e.Level == nsedge.Warning:
		l.Event, l.tone = "warning", yellow
	default:
		return false
	}
	return true
}

// timing fills in l with a transmission and the proof of its instant.
func (s *story) timing(l *line, event string, t nsedge.Timing, what string) {
	off := int64(t.Started - t.Planned)
	s.count(func(c *tally) {
		c.Downlinks++
		if off != 0 {
			c.OffTime++
		}
		if max(off, -off) > max(c.Worst, -c.Worst) {
			c.Worst = off
		}
		if c.Margin == 0 || t.Margin < c.Margin {
			c.Margin = t.Margin
		}
	})
	l.Event, l.tone = event, green
	if off != 0 {
		l.tone = red
	}
	l.Text = fmt.Sprintf("%s  %s planned %s, armed %s before, on air %+d µs", what, t.Window, micros(t.Planned), shortTime(t.Margin), off)
	l.Detail = t
}

// Told writes what the example application server answered.
func (s *story) Told(a exampleas.Answer) {
	s.print(line{
		Event: "answer", Device: a.Request.Device,
		Text: fmt.Sprintf("#%-3d example AS says %s after %s", a.Request.Counter, quoted(a.Payload), shortTime(a.Took)),
	})
}

// Heard writes what a virtual device received, and when by the air's clock:
// the proof by somebody who knows nothing of the driver's counter.
func (s *story) Heard(device radio.EUI64, e enddevice.Event) {
	l := line{Event: "heard", Device: device.String(), tone: green}
	var a enddevice.Arrival
	switch e := e.(type) {
	case enddevice.Joined:
		a, l.Text = e.Arrival, fmt.Sprintf("its join-accept, address %s", e.DevAddr)
	case enddevice.Received:
		a, l.Text = e.Arrival, fmt.Sprintf("#%-3d %s", e.FCnt, content(e.Port, e.Payload, e.Payload))
	case enddevice.Rejected:
		l.tone = red
		a, l.Text = e.Arrival, fmt.Sprintf("a frame that it refused: %v", e.Reason)
	default:
		return
	}
	if a.Offset != 0 {
		l.tone = red
	}
	s.count(func(t *tally) {
		t.Heard++
		if a.Offset != 0 {
			t.HeardOff++
		}
	})
	l.Text += fmt.Sprintf("  in %s, %s after its uplink: %d µs off", a.Window, micros(radio.Instant(a.Delay.Microseconds())), a.Offset.Microseconds())
	l.Detail = heardDetail{a.Window, a.Delay.Microseconds(), a.Offset.Microseconds()}
	s.print(l)
}

type heardDetail struct {
	Window string `json:"window"`
	Delay  int64  `json:"after_uplink_us"`
	Off    int64  `json:"off_us"`
}

func (s *story) count(f func(*tally)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.tally)
}

// Summary writes the last two lines.
func (s *story) Summary() {
	s.mu.Lock()
	t := s.tally
	s.mu.Unlock()
	if s.json {
		s.print(line{Event: "summary", Text: "the end", Detail: t})
		return
	}
	verdict := "every one on its planned microsecond"
	switch {
	case t.Downlinks == 0:
		verdict = "none was needed"
	case t.OffTime > 0:
		verdict = fmt.Sprintf("%d off their planned instant, the worst by %d µs", t.OffTime, t.Worst)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n%d joins and %d uplinks in %s, %d errors\n", t.Joins, t.Uplinks, time.Since(s.start).Round(time.Second), t.Failed)
	fmt.Fprintf(s.out, "%d downlinks, %s; smallest margin %s\n", t.Downlinks, verdict, shortTime(t.Margin))
}

type uplinkDetail struct {
	Counter  uint32      `json:"counter_up"`
	DataRate int         `json:"datarate"`
	Freq     radio.Hertz `json:"freq_hz"`
	RSSI     radio.DBm   `json:"rssi_dbm"`
	SNR      radio.DB    `json:"snr_db"`
	Port     uint8       `json:"port"`
	Payload  []byte      `json:"payload"`
}

// onAir is data rate and frequency.
func onAir(r nsedge.RadioInfo) string {
	return fmt.Sprintf("DR%d %.3f MHz", r.DataRate, r.Freq.MHz())
}

// level is how well a frame was heard.
func level(r nsedge.RadioInfo) string {
	if _, fsk := r.Mod.(radio.FSK); fsk {
		return fmt.Sprintf("%4.0f dBm         ", r.RSSI)
	}
	return fmt.Sprintf("%4.0f dBm %5.1f dB", r.RSSI, r.SNR)
}

// content is a frame's payload in words.
func content(port uint8, payload, encrypted []byte) string {
	switch {
	case len(encrypted) == 0 && len(payload) == 0:
		return "no payload"
	case payload == nil:
		return fmt.Sprintf("port %d %d bytes, encrypted", port, len(encrypted))
	}
	return fmt.Sprintf("port %d %s", port, quoted(payload))
}

// quoted shows text as text and anything else as hex.
func quoted(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%x", b)
	}
	for _, r := range string(b) {
		if !unicode.IsPrint(r) {
			return fmt.Sprintf("%x", b)
		}
	}
	return fmt.Sprintf("%q", b)
}

// micros groups an instant's digits: 12 345 678 µs.
func micros(i radio.Instant) string {
	s := fmt.Sprint(int64(i))
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + " " + s[at:]
	}
	return s + " µs"
}

// shortTime is a duration with three digits.
func shortTime(d time.Duration) string {
	switch a := max(d, -d); {
	case a < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case a < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case a < 10*time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return d.Round(time.Second).String()
}
