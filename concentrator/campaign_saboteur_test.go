package concentrator

import (
	"errors"
	"sync"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
)

var errSabotage = errors.New("transfer failed (campaign)")

// saboteur is a connection on which the nth transfer from now is spoilt.
type saboteur struct {
	spi.Conn
	mu    sync.Mutex
	n     int
	spoil func(n int, w, r []byte, do func() error) error // nil: nothing
}

func (s *saboteur) Tx(w, r []byte) error { return s.pass(s.Conn, w, r) }

func (s *saboteur) pass(on spi.Conn, w, r []byte) error {
	s.mu.Lock()
	s.n++
	n, spoil := s.n, s.spoil
	s.mu.Unlock()
	do := func() error { return on.Tx(w, r) }
	if spoil == nil {
		return do()
	}
	return spoil(n, w, r, do)
}

func (s *saboteur) set(spoil func(n int, w, r []byte, do func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.spoil = 0, spoil
}

// alsoOn is another chip select with the same saboteur.
type alsoOn struct {
	spi.Conn
	*saboteur
}

func (a alsoOn) String() string       { return a.Conn.String() }
func (a alsoOn) Duplex() conn.Duplex  { return a.Conn.Duplex() }
func (a alsoOn) Tx(w, r []byte) error { return a.pass(a.Conn, w, r) }

func (a alsoOn) TxPackets(p []spi.Packet) error { return a.Conn.TxPackets(p) }

// fault is how transfers go wrong from the nth on.
type fault struct {
	name    string
	lasting bool // until the chip is reset or the wiring mended
	every   int  // sampling
	spoil   func(c *campaign, n int) func(k int, w, r []byte, do func() error) error
}

// once spoils transfer n only, or as many as follow.
func once(n, many int, spoil func(w, r []byte, do func() error) error) func(int, []byte, []byte, func() error) error {
	return func(k int, w, r []byte, do func() error) error {
		if k < n || many > 0 && k >= n+many {
			return do()
		}
		return spoil(w, r, do)
	}
}

func fails(_, _ []byte, _ func() error) error { return errSabotage }

func failsAfter(_, _ []byte, do func() error) error {
	_ = do()
	return errSabotage
}

// reads replaces what one transfer reads.
func reads(v byte) func(w, r []byte, do func() error) error {
	return func(w, r []byte, do func() error) error {
		err := do()
		for i := range answer(w, r) {
			answer(w, r)[i] = v
		}
		return err
	}
}

// flips inverts one bit of what one transfer reads, another one for each size.
func flips(w, r []byte, do func() error) error {
	err := do()
	if a := answer(w, r); len(a) > 0 {
		a[len(a)*7/13] ^= 1 << (len(a) * 5 % 8)
	}
	return err
}

// answer is what the host makes something of: of the chip, of a radio behind
// it, or of the SX1261, whose operation codes are no targets.
func answer(w, r []byte) []byte {
	switch {
	case isRead(w):
		return r[readHeader:]
	case w[0] == targetChip:
		return nil
	case w[0] <= targetRadioA+1:
		return r[2:]
	}
	return r[1:]
}

func isRead(w []byte) bool {
	return w[0] == targetChip && w[1]&writeFlag == 0 && len(w) > readHeader
}

func address(w []byte) reg.Addr { return reg.Addr(w[1]&^writeFlag)<<8 | reg.Addr(w[2]) }

// misbehave makes the chip itself misbehave at transfer n.
func misbehave(change func(*sx1302sim.Misbehaviour)) func(*campaign, int) func(int, []byte, []byte, func() error) error {
	return func(c *campaign, n int) func(int, []byte, []byte, func() error) error {
		return once(n, 1, func(_, _ []byte, do func() error) error {
			c.chip.Faults().Set(change)
			return do()
		})
	}
}

func bySpoil(many int, spoil func(w, r []byte, do func() error) error) func(*campaign, int) func(int, []byte, []byte, func() error) error {
	return func(_ *campaign, n int) func(int, []byte, []byte, func() error) error { return once(n, many, spoil) }
}

// transferFaults are what can happen to any transfer.
var transferFaults = []fault{
	{"fails", false, 2, bySpoil(1, fails)},
	{"fails after its effect", false, 7, bySpoil(1, failsAfter)},
	{"fails twice", false, 7, bySpoil(2, fails)},
	{"reads 0x00 once", false, 7, bySpoil(1, reads(0x00))},
	{"reads 0xFF once", false, 7, bySpoil(1, reads(0xFF))},
	{"reads one bit wrong", false, 7, bySpoil(1, flips)},
	{"all fail from there", true, 11, bySpoil(0, fails)},
	{"power lost there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.LosePower = 1 })},
	{"bus low from there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerZeroes })},
	{"bus high from there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerOnes })},
	{"unreset from there", true, 11, misbehave(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerUnreset })},
}
