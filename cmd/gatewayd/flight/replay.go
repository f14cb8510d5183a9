package flight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
)

// ErrNothing is returned for a recording without the start of a chip.
var ErrNothing = errors.New("the recording has no frames from the start of the chip on")

// DefaultDrift is by how much the chip's counter may be off the clock of the
// recording host: what the wires and the host take, and what a crystal runs
// fast in a minute.
const DefaultDrift = 5 * time.Millisecond

// Result is what a replay found.
type Result struct {
	Frames     int         // that were replayed, repetitions included
	Lost       uint64      // that the recording doesn't have
	Failed     int         // that failed when they were recorded, and were left out
	Difference *Difference // the first one; nil: there is none
}

// Difference is where the simulated chip does not do what the recording has.
type Difference struct {
	Line     int           // of the file
	At       time.Duration // since Header.Began
	Frame    string        // what was asked for
	Register string        // the first byte that differs, with the names of its fields; "" if it is none of a register
	Recorded []byte
	Got      []byte
	Why      string // what the chip said, or what is odd; "" where the bytes tell
}

// String is a line for people.
func (d *Difference) String() string {
	s := fmt.Sprintf("line %d, at %v, %s", d.Line, d.At, d.Frame)
	if d.Register != "" {
		s += ", in " + d.Register
	}
	if d.Why != "" {
		return s + ": " + d.Why
	}
	return fmt.Sprintf("%s: recorded %x, the simulated chip says %x", s, d.Recorded, d.Got)
}

// player replays a recording's frames.
type player struct {
	rec      *Recording
	chip     *sx1302sim.Chip
	conn     spi.Conn
	drift    time.Duration
	stimulus *stimulus
	began    time.Time
	result   Result

	aligned bool    // the counter is the recording's
	unsure  [2]bool // what a transmitter does came about in frames that were lost
	shadow  []byte  // for what is read
}

// Replay plays a recording's SPI frames, at their times, to a new simulated
// chip, and returns the first difference. It takes as long as the recording:
// call it in virtual time.
func Replay(ctx context.Context, rec *Recording, drift time.Duration) (Result, error) {
	var kinds [2]sx1302sim.RadioKind
	for i, name := range rec.Radios {
		kind, ok := map[string]sx1302sim.RadioKind{"": sx1302sim.NoRadio, "SX1250": sx1302sim.SX1250, "SX1255": sx1302sim.SX1255, "SX1257": sx1302sim.SX1257}[name]
		if !ok {
			return Result{}, fmt.Errorf("%w: radio %d is of type %q; SX1250, SX1255 and SX1257 are known", ErrFormat, i, name)
		}
		kinds[i] = kind
	}
	s := newStimulus(rec)
	if !s.begins {
		return Result{}, ErrNothing
	}
	chip, err := sx1302sim.New(sx1302sim.Config{EUI: s.eui(), Model: s.model(), Radios: kinds})
	if err != nil {
		return Result{}, err
	}
	defer chip.Close()
	conn, err := chip.Port().Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		return Result{}, err
	}
	p := &player{rec: rec, chip: chip, conn: conn, drift: drift, stimulus: s, began: time.Now()}
	for i := range rec.Entries {
		if err := p.entry(ctx, i); err != nil || p.result.Difference != nil {
			return p.result, err
		}
	}
	return p.result, nil
}

// until lets time pass.
func (p *player) until(ctx context.Context, ns int64) error {
	t := time.NewTimer(time.Until(p.began.Add(time.Duration(ns))))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *player) entry(ctx context.Context, i int) error {
	e := &p.rec.Entries[i]
	switch e.Type {
	case typeSPI, typeReset, typeHold, typeGap, typeFailed:
	default:
		return nil
	}
	if err := p.until(ctx, e.NS); err != nil {
		return err
	}
	switch e.Type {
	case typeReset:
		p.chip.SetReset(true)
		p.chip.SetReset(false)
	case typeHold:
		p.chip.SetReset(true)
	case typeGap:
		p.result.Lost += e.Frames
		p.bridge(i, e)
	case typeFailed:
		p.result.Failed++
	default:
		p.frame(i, e)
		if e.Repeats == 0 || p.result.Difference != nil {
			return nil
		}
		if err := p.until(ctx, e.Until); err != nil {
			return err
		}
		p.frame(i, e)
		p.result.Frames += int(e.Repeats) - 1
	}
	return nil
}

// frame replays one frame and compares what comes back.
func (p *player) frame(i int, e *Entry) {
	if len(e.Out) == 0 {
		p.differ(i, e, &Difference{Why: "a frame without bytes"})
		return
	}
	w := append([]byte(nil), e.Out...)
	read, a := readOf(e.Out)
	if read {
		w = append(w, make([]byte, readHeader-writeHeader+len(e.In))...)
	}
	if why := p.stimulus.before(p.chip, e); why != "" {
		p.differ(i, e, &Difference{Why: why})
		return
	}
	p.shadow = append(p.shadow[:0], make([]byte, len(w))...)
	p.result.Frames++
	if err := p.conn.Tx(w, p.shadow); err != nil {
		p.differ(i, e, &Difference{Why: "the simulated chip refuses: " + err.Error()})
		return
	}
	if ok, a, data := writeOf(e.Out); ok {
		p.watch(a, data)
		return
	}
	got := p.shadow
	if read {
		got = got[readHeader:]
		p.compareChip(i, e, a, got)
		return
	}
	p.compareRadio(i, e, got)
}

func (p *player) differ(i int, e *Entry, d *Difference) {
	d.Line, d.At, d.Frame = i+2, time.Duration(e.NS), describe(e) // the header is a line, too
	p.result.Difference = d
}

// describe says what a frame asks for.
func describe(e *Entry) string {
	if len(e.Out) == 0 {
		return e.Type
	}
	if read, a := readOf(e.Out); read {
		return fmt.Sprintf("read of %d bytes at 0x%04X", len(e.In), uint16(a))
	}
	if ok, a, data := writeOf(e.Out); ok {
		return fmt.Sprintf("write of %d bytes to 0x%04X", len(data), uint16(a))
	}
	if t := e.Out[0]; t == 1 || t == 2 {
		return fmt.Sprintf("command %x of radio %c", []byte(e.Out[1:]), 'A'+t-1)
	}
	return fmt.Sprintf("frame %x", []byte(e.Out))
}

// named is an address with the names of what is there.
func named(a reg.Addr) string {
	names := strings.Join(reg.Names(a), ", ")
	if names == "" {
		names = "no register"
	}
	return fmt.Sprintf("0x%04X (%s)", uint16(a), names)
}

// bridge gives the chip what is known of the frames that were lost: what they
// wrote to registers, but not to those that do something when written.
func (p *player) bridge(i int, e *Entry) {
	p.unsure = [2]bool{true, true}
	for text, data := range e.Registers {
		a, err := registerAddress(text, len(data))
		if err != nil {
			p.differ(i, e, &Difference{Why: err.Error()})
			return
		}
		for k, v := range data {
			at := a + reg.Addr(k)
			if acts(at) {
				continue
			}
			w := []byte{targetChip, writeFlag | byte(at>>8), byte(at), v}
			if err := p.conn.Tx(w, make([]byte, len(w))); err != nil {
				p.differ(i, e, &Difference{Register: named(at), Why: "the simulated chip refuses: " + err.Error()})
				return
			}
		}
	}
}

// acts tells whether writing to a register does more than to set it, or to a
// buffer.
func acts(a reg.Addr) bool {
	switch a {
	case reg.TXTrigImmediate.Addr(), reg.TXTrigImmediate.Chain(1).Addr(), reg.TXFlagPktDone.Addr(), reg.TXFlagPktDone.Chain(1).Addr(),
		reg.RadioFESigAnaCfgStart.Addr(), reg.CaptureCfgCapturestart.Addr():
		return true
	}
	within := func(from reg.Addr, size int) bool { return a >= from && int(a) < int(from)+size }
	return within(reg.TXBuffer0, reg.TXBufferSize) || within(reg.TXBuffer1, reg.TXBufferSize) ||
		within(reg.AGCCtrlHostProg.Addr(), agcBlock) || within(reg.ARBCtrlHostProg.Addr(), arbBlock)
}

// Registers of the two microcontrollers: control, status, mailboxes.
const (
	agcBlock = 0x40
	arbBlock = 0x20
)
