package flight

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"gatewayd/concentrator/reg"
)

// fileVersion is that of the format.
const fileVersion = 1

// Entry is a line of a file. Which members it has, Type tells.
type Entry struct {
	NS   int64  `json:"ns"` // since Header.Began
	Type string `json:"type"`

	*Header `json:",omitempty"` // recording

	Out     hexBytes `json:"out,omitempty"`     // spi, spi-failed: clocked out; of a read, the address
	In      hexBytes `json:"in,omitempty"`      // spi: read
	Repeats uint32   `json:"repeats,omitempty"` // spi: so often more, with the same answer
	Until   int64    `json:"until,omitempty"`   // ns of the last of these

	Frames    uint64              `json:"frames,omitempty"`    // gap: so many are not in the recording
	Registers map[string]hexBytes `json:"registers,omitempty"` // gap: what they wrote

	Data json.RawMessage `json:"data,omitempty"` // of all others
}

// Types of lines.
const (
	typeRecording = "recording"
	typeSPI       = "spi"
	typeFailed    = "spi-failed"
	typeReset     = "reset"
	typeHold      = "hold"
	typeGap       = "gap"
)

var typeNames = map[byte]string{
	kindSPI: typeSPI, kindFailed: typeFailed, kindReset: typeReset, kindHold: typeHold,
	kindHeard: "heard", kindEvent: "event", kindMessage: "message", kindRequest: "request", kindFault: "fault",
}

// Write writes everything that is recorded, as compressed JSON lines in order
// of time.
func (r *Recorder) Write(w io.Writer, reason string) error {
	start, recent, lost := r.bus.snapshot()
	r.mu.Lock()
	story := r.story.copied()
	r.mu.Unlock()
	h := r.cfg.Header
	h.Version, h.Began, h.Reason = fileVersion, r.began.Round(0).UTC(), reason
	if r.cfg.Gateway != nil {
		h.Gateway = r.cfg.Gateway()
	}
	z := gzip.NewWriter(w)
	out := json.NewEncoder(z)
	if err := out.Encode(Entry{Type: typeRecording, Header: &h}); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	for e := range merged(busEntries(start, recent, lost), entries(story)) {
		if err := out.Encode(e); err != nil {
			return fmt.Errorf("write the recording: %w", err)
		}
	}
	return z.Close()
}

// busEntries are the start, the gap if there is one, and the last frames.
func busEntries(start, recent *tape, lost gap) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for e := range entries(start) {
			if !yield(e) {
				return
			}
		}
		if lost.frames > 0 {
			g := Entry{NS: lost.at, Type: typeGap, Frames: lost.frames, Registers: map[string]hexBytes{}}
			for a, v := range lost.registers {
				g.Registers[fmt.Sprintf("%04x", uint16(a))] = v
			}
			if !yield(g) {
				return
			}
		}
		for e := range entries(recent) {
			if !yield(e) {
				return
			}
		}
	}
}

func entries(t *tape) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for c := range t.all() {
			e := Entry{NS: c.at, Type: typeNames[c.kind]}
			if c.kind <= kindHold {
				e.Out, e.In = c.out, c.in
			} else {
				e.Data = c.out
			}
			if c.n > 1 {
				e.Repeats, e.Until = c.n-1, c.last
			}
			if !yield(e) {
				return
			}
		}
	}
}

// merged is two sequences in order of time.
func merged(a, b iter.Seq[Entry]) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		next, stop := iter.Pull(b)
		defer stop()
		other, more := next()
		for e := range a {
			for ; more && other.NS < e.NS; other, more = next() {
				if !yield(other) {
					return
				}
			}
			if !yield(e) {
				return
			}
		}
		for ; more; other, more = next() {
			if !yield(other) {
				return
			}
		}
	}
}

// Errors of files.
var (
	ErrFormat  = errors.New("no recording of gatewayd")
	ErrVersion = errors.New("a recording of another version of gatewayd")
)

// Recording is a file that was read.
type Recording struct {
	Header
	Entries []Entry
}

// Bounds of what is read.
const (
	mostLine    = 1 << 20
	mostEntries = 10_000_000
)

// Read reads a recording, compressed or not.
func Read(r io.Reader) (*Recording, error) {
	b := bufio.NewReader(r)
	var text io.Reader = b
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1F && magic[1] == 0x8B {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		text = z
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, mostLine)
	out := &Recording{}
	for n := 1; lines.Scan(); n++ {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrFormat, n, err)
		}
		if err := out.take(n, e); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: line %d: %w", ErrFormat, len(out.Entries)+2, err)
	}
	if out.Version == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	return out, nil
}

func (r *Recording) take(n int, e Entry) error {
	switch {
	case n == 1 && (e.Type != typeRecording || e.Header == nil):
		return fmt.Errorf("%w: line 1 has the type %q, not %q", ErrFormat, e.Type, typeRecording)
	case n == 1 && e.Version != fileVersion:
		return fmt.Errorf("%w: version %d, this program reads %d", ErrVersion, e.Version, fileVersion)
	case n == 1:
		r.Header = *e.Header
		return nil
	case len(r.Entries) == mostEntries:
		return fmt.Errorf("%w: more than %d entries", ErrFormat, mostEntries)
	}
	before := int64(0)
	if len(r.Entries) > 0 {
		before = r.Entries[len(r.Entries)-1].NS
	}
	if e.NS < before || e.Until != 0 && e.Until < e.NS {
		return fmt.Errorf("%w: line %d goes back in time", ErrFormat, n)
	}
	for a, v := range e.Registers {
		if _, err := registerAddress(a, len(v)); err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrFormat, n, err)
		}
	}
	r.Entries = append(r.Entries, e)
	return nil
}

// registerAddress reads the address of so many registers.
func registerAddress(text string, n int) (reg.Addr, error) {
	var a reg.Addr
	if _, err := fmt.Sscanf(text, "%04x", &a); err != nil || a < firstRegister || int(a)+n > int(endRegisters) {
		return 0, fmt.Errorf("%q is no address of %d registers", text, n)
	}
	return a, nil
}

// Summary is a recording in a line.
func (r *Recording) Summary() string {
	count := map[string]int{}
	var last int64
	for _, e := range r.Entries {
		count[e.Type] += 1 + int(e.Repeats)
		last = max(last, e.NS, e.Until)
	}
	var parts []string
	for _, t := range []string{typeSPI, "heard", "event", "message", "request", "fault"} {
		if count[t] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[t], t))
		}
	}
	return fmt.Sprintf("gateway %s, %s, %s, from %s on for %v: %s", r.Gateway, r.Board, r.Region, r.Began.Format(time.RFC3339),
		time.Duration(last).Round(time.Millisecond), strings.Join(parts, ", "))
}
