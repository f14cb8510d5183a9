package flight

import (
	"slices"
	"sync"
	"time"

	"gatewayd/concentrator/reg"
)

// Shape of frames on the concentrator's bus: a byte that names the target, two
// of the address, whose highest bit says write, and a turn-around before what
// is read.
const (
	targetChip  = 0
	writeFlag   = 0x80
	writeHeader = 3
	readHeader  = 4
)

// Registers and transmit buffers lie in this range.
const (
	firstRegister = reg.Addr(0x5200)
	endRegisters  = reg.Addr(0x6200)
)

// startSize bounds the frames of a start: a chip's program memory, written and
// read back, and what is around it.
const startSize = 512 << 10

// bus keeps the start of the chip whole, then the last frames; of frames in
// between, what they wrote to registers.
type bus struct {
	mu       sync.Mutex
	clock    func() int64
	start    *tape
	starting bool // until the driver first looks into the receive buffer
	recent   *tape

	lost    uint64 // frames between start and recent
	lostAt  int64  // the last of them
	values  [endRegisters - firstRegister]byte
	written [endRegisters - firstRegister]bool // by a frame that was lost
}

func newBus(size int, clock func() int64) *bus {
	b := &bus{clock: clock, starting: true, start: newTape(startSize, nil)}
	b.recent = newTape(size, b.forget)
	return b
}

// frame records one chip-select frame. What a write clocks in means nothing
// and is left out, as is what a read clocks out after the address.
func (b *bus) frame(w, r []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.clock()
	if err != nil {
		b.put(kindFailed, at, w, nil)
		return
	}
	out, in := w, r
	if w[0] == targetChip && len(w) >= writeHeader {
		if w[1]&writeFlag != 0 {
			in = nil
		} else {
			out, in = w[:writeHeader], r[min(readHeader, len(r)):]
		}
	}
	b.put(kindSPI, at, out, in)
}

// mark records what happened to the reset line.
func (b *bus) mark(kind byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kind == kindReset {
		b.start.clear()
		b.recent.clear()
		b.starting, b.lost, b.written = true, 0, [endRegisters - firstRegister]bool{}
	}
	b.put(kind, b.clock(), nil, nil)
}

func (b *bus) put(kind byte, at int64, out, in []byte) {
	read, a := readOf(out)
	if b.starting && (read && a == reg.RXBufferNbBytesMSB.Addr() || b.start.full(len(out)+len(in))) {
		b.starting = false
	}
	to := b.recent
	if b.starting {
		to = b.start
	}
	// Registers may be read again and again; the receive buffer is not the same
	// after a read.
	if read && a != reg.RXFIFO && kind == kindSPI && to.repeat(kind, at, out, in) {
		return
	}
	to.add(kind, at, out, in)
}

// readOf tells whether a frame reads from the chip itself, and where.
func readOf(out []byte) (bool, reg.Addr) {
	if len(out) != writeHeader || out[0] != targetChip || out[1]&writeFlag != 0 {
		return false, 0
	}
	return true, reg.Addr(out[1])<<8 | reg.Addr(out[2])
}

// writeOf tells whether a frame writes to the chip itself, where and what.
func writeOf(out []byte) (bool, reg.Addr, []byte) {
	if len(out) <= writeHeader || out[0] != targetChip || out[1]&writeFlag == 0 {
		return false, 0, nil
	}
	return true, reg.Addr(out[1]&^writeFlag)<<8 | reg.Addr(out[2]), out[writeHeader:]
}

// forget remembers of a frame what it wrote.
func (b *bus) forget(c cell) {
	b.lost += uint64(c.n)
	b.lostAt = c.last
	ok, a, data := writeOf(c.out)
	if !ok || c.kind != kindSPI {
		return
	}
	for i, v := range data {
		if at := a + reg.Addr(i); at >= firstRegister && at < endRegisters {
			b.values[at-firstRegister], b.written[at-firstRegister] = v, true
		}
	}
}

// gap is what is known of the frames that were lost: the registers that they
// wrote, by the address of the first of neighbours.
type gap struct {
	frames    uint64
	at        int64
	registers map[reg.Addr][]byte
}

// snapshot copies what there is.
func (b *bus) snapshot() (start, recent *tape, g gap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g = gap{b.lost, b.lostAt, map[reg.Addr][]byte{}}
	for i := 0; i < len(b.written); i++ {
		if !b.written[i] {
			continue
		}
		from := i
		for i < len(b.written) && b.written[i] {
			i++
		}
		g.registers[firstRegister+reg.Addr(from)] = slices.Clone(b.values[from:i])
	}
	return b.start.copied(), b.recent.copied(), g
}

// since is a clock that counts ns from its making.
func since(began time.Time) func() int64 {
	return func() int64 { return int64(time.Since(began)) }
}
