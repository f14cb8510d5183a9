package sx1302sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"gatewayd/concentrator/bridge"
)

// Habits of the firmware on a USB card's microcontroller.
const (
	usbChunk    = 64                     // it takes what comes in packets of USB
	usbForget   = 100 * time.Millisecond // silence after which half a request is forgotten
	usbLooks    = 5                      // in this time: a host that was stalled is no silent one
	usbBusy     = 4 * time.Millisecond   // it waits for the SX1261
	usbPatience = time.Second            // for the host to take an answer; ours, it waits for 10 ms
)

// Pins of the microcontroller, all on port A.
const (
	pinPower      = 1 // of the card, active high
	pinReset      = 2 // of the SX1302, active high
	pinRadioReset = 8 // of the SX1261, active low
)

// USB describes the microcontroller of a USB card. Its zero value is one with
// the firmware that the vendor's library wants, at 25 °C.
type USB struct {
	Info        bridge.Info                       // "": version V01.00.00
	Temperature func() (celsius float64, ok bool) // nil: 25 °C; not ok: no thermometer
}

// ServeUSB makes the chip one on a USB card: it speaks the protocol of the
// card's microcontroller on a line until ctx or the line ends (a line that the
// host closed is no error). At the start the card's power is off and the chip in reset, as
// after plugging it in. What is malformed is answered as the firmware does it,
// or forgotten after 0.1 s. Violations are counted and reported as for the port, but
// the host gets its answer. ServeUSB closes the line.
func (c *Chip) ServeUSB(ctx context.Context, line bridge.Line, u USB) error {
	if u.Info.Version == "" {
		u.Info.Version = "V" + bridge.KnownVersion
	}
	if u.Temperature == nil {
		u.Temperature = func() (float64, bool) { return 25, true }
	}
	defer line.Close()
	defer context.AfterFunc(ctx, func() { line.Close() })()
	m := &usbMCU{chip: c, cfg: u, line: line, log: c.log}
	m.restart()
	err := m.run()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// usbMCU is the microcontroller.
type usbMCU struct {
	chip *Chip
	cfg  USB
	line bridge.Line
	log  *slog.Logger

	began   time.Time
	power   bool
	reset   bool
	pending []byte // of a request
	out     []byte
}

// restart is what its own reset does.
func (m *usbMCU) restart() {
	m.began = time.Now()
	m.power, m.reset = false, true
	m.chip.cutPower()
}

// run is its life: read, and answer what is complete.
func (m *usbMCU) run() error {
	var chunk [usbChunk]byte
	for looks := 0; ; {
		var end time.Time
		if len(m.pending) > 0 {
			end = time.Now().Add(usbForget / usbLooks)
		}
		if err := m.line.SetReadDeadline(end); err != nil {
			return ended(err)
		}
		n, err := m.line.Read(chunk[:])
		if looks++; n > 0 {
			looks = 0
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if looks < usbLooks {
				continue
			}
			m.log.Warn("USB request forgotten: it is not complete", "bytes", len(m.pending))
			m.pending = m.pending[:0]
			continue
		}
		if err := m.take(chunk[:n]); err != nil {
			return err
		}
		if err != nil {
			return ended(err)
		}
	}
}

// take adds what came to the request at hand.
func (m *usbMCU) take(chunk []byte) error {
	for _, b := range chunk {
		m.pending = append(m.pending, b)
		if len(m.pending) < bridge.HeaderSize-1 {
			continue
		}
		// The size is complete before the order is.
		var head [bridge.HeaderSize]byte
		copy(head[:], m.pending)
		h := bridge.ParseHeader(head[:])
		if h.Size > bridge.MaxPayload {
			// As the firmware does it, which loses the rest of the packet, too.
			m.pending = m.pending[:0]
			return m.answer(h.ID, bridge.NotUnderstood, nil)
		}
		if len(m.pending) < bridge.HeaderSize+h.Size {
			continue
		}
		err := m.serve(h, m.pending[bridge.HeaderSize:])
		m.pending = m.pending[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// serve answers a whole request.
func (m *usbMCU) serve(h bridge.Header, payload []byte) error {
	size, known := map[bridge.Order]int{
		bridge.Ping: 0, bridge.GetStatus: 0, bridge.Boot: 0, bridge.Restart: 1, bridge.WritePin: bridge.PinSize,
		bridge.MultipleSPI: len(payload),
	}[h.Order]
	if !known || size != len(payload) {
		m.log.Warn("USB request not understood", "order", byte(h.Order), "bytes", len(payload))
		return m.answer(h.ID, bridge.NotUnderstood, nil)
	}
	order := bridge.AnswerTo(h.Order)
	switch h.Order {
	case bridge.Ping:
		return m.answer(h.ID, order, m.cfg.Info.Append)
	case bridge.GetStatus:
		celsius, ok := m.cfg.Temperature()
		return m.answer(h.ID, order, bridge.Status{Uptime: time.Since(m.began), Celsius: celsius, NoTemp: !ok}.Append)
	case bridge.Boot:
		m.log.Warn("USB card asked to run its bootloader; it restarts instead")
		err := m.answer(h.ID, order, nil)
		m.restart()
		return err
	case bridge.Restart:
		if payload[0] != 0 {
			return m.result(h, bridge.Failed)
		}
		err := m.result(h, bridge.Done)
		m.restart()
		return err
	case bridge.WritePin:
		return m.result(h, m.setPin(payload[0], payload[1], payload[2]))
	default:
		return m.answer(h.ID, order, func(b []byte) []byte { return m.spi(b, payload) })
	}
}

// setPin drives a pin. Those that lead nowhere are accepted, too.
func (m *usbMCU) setPin(port, pin, level byte) bridge.Result {
	exists := port < 4 || port == 7 // ports A to D and H
	if !exists || pin > 15 || level > 1 {
		return bridge.Failed
	}
	if port != 0 {
		return bridge.Done
	}
	power, reset := m.power, m.reset
	switch pin {
	case pinPower:
		m.power = level == 1
	case pinReset:
		m.reset = level == 1
	case pinRadioReset:
		m.chip.resetSX1261()
	}
	switch {
	case power && !m.power:
		m.chip.cutPower()
	case m.power && (m.reset != reset || !power):
		m.chip.SetReset(m.reset)
	}
	return bridge.Done
}

// spi carries out SPI requests, one after the other, and appends their answers to b.
func (m *usbMCU) spi(b, payload []byte) []byte {
	if len(payload) > bridge.MaxSPI {
		return b
	}
	for len(payload) > 0 {
		r, rest, ok := bridge.NextRequest(payload)
		if !ok {
			// The firmware would clock out what lies behind; nobody wants that.
			m.log.Warn("SPI request is cut off", "bytes", len(payload))
			return bridge.Answer{Number: r.Number, Kind: r.Kind, Result: bridge.NotAllowed}.Append(b)
		}
		payload = rest
		b = m.access(r).Append(b)
	}
	return b
}

// access carries out one SPI request.
func (m *usbMCU) access(r bridge.Request) bridge.Answer {
	a := bridge.Answer{Number: r.Number, Kind: r.Kind}
	switch {
	case r.Kind == bridge.ReadWrite && r.Target == bridge.SX1302:
		a.Data, a.Result = m.frame(r.Data)
	case r.Kind == bridge.ReadWrite && r.Target == bridge.SX1261:
		a.Data, a.Result = m.radioFrame(r.Data)
	case r.Kind == bridge.Modify:
		a.Data, a.Result = m.modify(r)
	default:
		a.Result = bridge.NotAllowed
	}
	return a
}

// frame is a chip-select frame.
func (m *usbMCU) frame(w []byte) ([]byte, bridge.Result) {
	if len(w) == 0 {
		return nil, bridge.Failed
	}
	r := make([]byte, len(w))
	if err := m.chip.carry(w, r, bridge.MaxSPI); errors.Is(err, ErrTransfer) || errors.Is(err, ErrClosed) {
		return nil, bridge.Failed
	}
	return r, bridge.Done
}

// radioFrame is a chip-select frame to the SX1261, once that isn't busy.
func (m *usbMCU) radioFrame(w []byte) ([]byte, bridge.Result) {
	if busy := m.chip.sx1261Busy(); busy > 0 {
		time.Sleep(min(busy, usbBusy)) //nolint:forbidigo // the firmware does nothing else meanwhile
		if busy > usbBusy {
			return nil, bridge.StaysBusy
		}
	}
	if len(w) == 0 {
		return nil, bridge.Failed
	}
	r := make([]byte, len(w))
	if err := m.chip.transferSX1261(w, r); errors.Is(err, ErrTransfer) || errors.Is(err, ErrClosed) {
		return nil, bridge.Failed
	}
	return r, bridge.Done
}

// modify changes bits of a register of the chip. As in the firmware, the
// value may set bits outside of the mask.
func (m *usbMCU) modify(r bridge.Request) ([]byte, bridge.Result) {
	high, low := byte(r.Register>>8)&^writeFlag, byte(r.Register)
	read, result := m.frame([]byte{targetChip, high, low, 0, 0})
	if result != bridge.Done {
		return nil, result
	}
	before := read[readHeader]
	after := before&^r.Mask | r.Value
	if _, result = m.frame([]byte{targetChip, high | writeFlag, low, after}); result != bridge.Done {
		return nil, result
	}
	return []byte{before, after}, bridge.Done
}

// ended is nil for a line that was closed, by whichever end.
func ended(err error) error {
	if err == nil {
		return nil
	}
	for _, ok := range []error{io.EOF, io.ErrClosedPipe, os.ErrClosed, net.ErrClosed} {
		if errors.Is(err, ok) {
			return nil
		}
	}
	return fmt.Errorf("USB line: %w", err)
}

func (m *usbMCU) result(h bridge.Header, r bridge.Result) error {
	return m.answer(h.ID, bridge.AnswerTo(h.Order), func(b []byte) []byte { return append(b, byte(r)) })
}

// answer sends a message in one piece. A host that doesn't take it loses it.
func (m *usbMCU) answer(id byte, o bridge.Order, payload func([]byte) []byte) error {
	b := bridge.Header{}.Append(m.out[:0])
	if payload != nil {
		b = payload(b)
	}
	bridge.Header{ID: id, Size: len(b) - bridge.HeaderSize, Order: o}.Append(b[:0])
	m.out = b
	if err := m.line.SetWriteDeadline(time.Now().Add(usbPatience)); err != nil {
		return ended(err)
	}
	_, err := m.line.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		m.log.Warn("USB host doesn't take the answer", "bytes", len(b))
		return nil
	}
	return ended(err)
}
