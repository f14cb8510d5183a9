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
	over  <-chan struct{}   // closed when the story is to end; nil: never

	mu    sync.Mutex
	out   io.Writer
	tally tally
	told  map[string]string // DevEUI -> the example AS's answer on its way
	asked map[string]asked  // DevEUI -> its last request
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
		l.Text = fmt.Sprintf("%-4s %s  %s  %s", nth(e.Counter), onAir(e.Radio), level(e.Radio), content(e.Port, e.Payload, e.Encrypted))
		l.Detail = uplinkDetail{e.Counter, e.Radio.DataRate, e.Radio.Freq, e.Radio.RSSI, e.Radio.SNR, e.Port, e.Payload}
	case *nsedge.DownlinkRequest:
		s.request(&l, e)
	case *nsedge.DownlinkEvent:
		s.downlink(&l, e)
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
	case e.Code == nsedge.CodeJoinAccepted:
		s.count(func(t *tally) { t.Joins++ })
		return false // the downlink itself has its line
	case e.Code == nsedge.CodeDownlinkReceived:
		s.answer(l)
		return true
	case e.Level == nsedge.Error && s.ending():
		l.Event, l.tone = "stopped", faint // the end overtook it: nobody's fault
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

func (s *story) ending() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// joinAccept is the MType of a join-accept.
const joinAccept = 1

// downlink fills in l with a transmission and the proof of its instant:
// planned, armed and on air on the gateway's counter.
func (s *story) downlink(l *line, e *nsedge.DownlinkEvent) {
	t := e.Timing
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
	l.Event, l.tone, l.Detail = "downlink", green, t
	if off != 0 {
		l.tone = red
	}
	number, what := nth(e.Counter), content(e.Port, e.Payload, e.Encrypted)
	if e.Frame.MType == joinAccept {
		number, what = "join", "join-accept"
	}
	l.Text = fmt.Sprintf("%-4s %s  %s planned %s armed %s on air %s µs: %d µs off, margin %s  %s", number, onAir(e.Radio),
		t.Window, micros(t.Planned), micros(t.Armed), micros(t.Started), off, shortTime(t.Margin), what)
}

// Told notes what the example application server is about to answer; the
// line is written when the network has taken it.
func (s *story) Told(a exampleas.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[a.Request.Device] = quoted(a.Payload)
}

// answer fills in l with an answer that was taken.
func (s *story) answer(l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked[l.Device]
	l.Event, l.Text = "answer", fmt.Sprintf("%-4s your application has answered", nth(asked.counter))
	if says, ok := s.told[l.Device]; ok {
		l.Text = fmt.Sprintf("%-4s the example AS says %s", nth(asked.counter), says)
		delete(s.told, l.Device)
	}
	l.Text += ", " + shortTime(time.Since(asked.at)) + " after the request"
}

// request fills in l with a window that an application may use.
func (s *story) request(l *line, e *nsedge.DownlinkRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, l.Device)
	s.asked[l.Device] = asked{time.Now(), e.Counter}
	l.Event, l.tone = "request", faint
	l.Text = fmt.Sprintf("%-4s an answer of at most %d bytes is taken for another %s", nth(e.Counter), e.MaxSize, shortTime(time.Until(e.Deadline)))
}

// asked is the last request of a device.
type asked struct {
	at      time.Time
	counter uint32
}

// nth is a frame counter in words.
func nth(counter uint32) string { return fmt.Sprintf("#%d", counter) }

// Heard writes what a virtual device received, and when by the air's clock:
// the proof by somebody who knows nothing of the driver's counter.
func (s *story) Heard(device radio.EUI64, e enddevice.Event) {
	l := line{Event: "heard", Device: device.String(), tone: green}
	var a enddevice.Arrival
	var number, what string
	switch e := e.(type) {
	case enddevice.Joining:
		l.Event, l.tone = "join", cyan
		l.Text = fmt.Sprintf("%-4s DR%d %.3f MHz  asks to join, DevNonce %d", "", e.DataRate, e.Freq.MHz(), e.DevNonce)
		s.print(l)
		return
	case enddevice.Joined:
		a, number, what = e.Arrival, "join", fmt.Sprintf("has joined, address %s", e.DevAddr)
	case enddevice.Received:
		a, number, what = e.Arrival, nth(e.FCnt), content(e.Port, e.Payload, e.Payload)
		if e.Group != nil {
			what += " to its group"
		}
	case enddevice.Rejected:
		a, what = e.Arrival, fmt.Sprintf("refused it: %v", e.Reason)
	default:
		s.heardB(l, e)
		return
	}
	if a.Window == "ping" {
		s.heardPing(l, number, a, what)
		return
	}
	if _, refused := e.(enddevice.Rejected); refused || a.Offset != 0 {
		l.tone = red
	}
	s.count(func(t *tally) {
		t.Heard++
		if a.Offset != 0 {
			t.HeardOff++
		}
	})
	l.Text = fmt.Sprintf("%-4s in %s, %s µs after its uplink: %d µs off  %s",
		number, a.Window, micros(radio.Instant(a.Delay.Microseconds())), a.Offset.Microseconds(), what)
	if a.Window == "RXC" { // which is open at any time
		l.Text = fmt.Sprintf("%-4s in RXC  %s", number, what)
	}
	l.Detail = heardDetail{a.Window, a.Delay.Microseconds(), a.Offset.Microseconds()}
	s.print(l)
}

// heardB tells what only class B devices do.
func (s *story) heardB(l line, e enddevice.Event) {
	switch e := e.(type) {
	case enddevice.Beacon:
		l.Event, l.tone = "beacon", faint
		l.Text = fmt.Sprintf("%-4s %.3f MHz  of GPS second %d, %d µs from where it looked for it", "", e.Freq.MHz(), e.Time/time.Second, e.Offset.Microseconds())
	case enddevice.ClassChanged:
		l.Event = "class"
		l.Text = fmt.Sprintf("%-4s is in class %s now", "", e.Class)
	default:
		return
	}
	s.print(l)
}

// heardPing tells of a frame in a ping slot: the device's own clock says when
// that is.
func (s *story) heardPing(l line, number string, a enddevice.Arrival, what string) {
	s.count(func(t *tally) { t.Heard++ })
	l.Text = fmt.Sprintf("%-4s in its ping slot, %d µs from where it looked for it  %s", number, a.Offset.Microseconds(), what)
	l.Detail = heardDetail{a.Window, 0, a.Offset.Microseconds()}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n%s and %s in %s, %s\n", plural(t.Joins, "join"), plural(t.Uplinks, "uplink"),
		time.Since(s.start).Round(time.Second), plural(t.Failed, "error"))
	fmt.Fprintf(s.out, "%s, %s\n", plural(t.Downlinks, "downlink"), t.verdict())
}

// verdict says whether all downlinks were in time.
func (t tally) verdict() string {
	switch {
	case t.Downlinks == 0:
		return "none was due"
	case t.OffTime > 0:
		return fmt.Sprintf("%d off the planned instant, the worst by %d µs", t.OffTime, t.Worst)
	case t.HeardOff > 0:
		return fmt.Sprintf("but the devices heard %d of %d off the start of their window", t.HeardOff, t.Heard)
	}
	return fmt.Sprintf("all on the planned microsecond (the devices heard %d, 0 µs off); smallest margin %s", t.Heard, shortTime(t.Margin))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
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

// micros groups an instant's digits: 12 345 678.
func micros(i radio.Instant) string {
	s := fmt.Sprint(int64(i))
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + " " + s[at:]
	}
	return s
}

// shortTime is a duration as people say it.
func shortTime(d time.Duration) string {
	switch a := max(d, -d); {
	case a < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case a < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case a < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
