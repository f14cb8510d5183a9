package sx1302sim

import (
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"

	"gatewayd/concentrator/reg"
)

// model is what a host may expect of a chip that was not started, stated anew
// from the register map and the facts in the vendor's library: plain bytes
// with read-only and undefined bits, payload buffers and program memories that
// have a lock each, radios that remember. It knows nothing of Chip.
type model struct {
	regs    map[reg.Addr]byte
	known   map[reg.Addr]reg.Byte
	memory  [0x4000]byte
	buffers map[reg.Addr]byte
}

// Registers of which the model knows less than its value.
var (
	loose = map[reg.Addr]bool{ // change by themselves
		0x5211: true, 0x5411: true, 0x5781: true, 0x5780: true, 0x6080: true, 0x571B: true, 0x571D: true, 0x571E: true,
		0x6005: true, 0x6006: true, 0x6007: true, 0x58C8: true, 0x58C9: true, 0x6181: true,
	}
	triggers = map[reg.Addr]bool{0x5200: true, 0x5400: true} // a trigger without a clock is a violation
)

func newModel() *model {
	m := &model{regs: map[reg.Addr]byte{}, known: map[reg.Addr]reg.Byte{}, buffers: map[reg.Addr]byte{}}
	reg.Each(func(a reg.Addr, b reg.Byte) { m.known[a], m.regs[a] = b, b.Reset })
	return m
}

// buffer is the control register of the payload buffer that a is in, 0 if it
// is in none.
func buffer(a reg.Addr) reg.Addr {
	switch a & 0xFF00 {
	case 0x5300:
		return 0x5207
	case 0x5500:
		return 0x5407
	}
	return 0
}

// open tells whether the host has a program memory: bit 1 of its MCU's control.
func (m *model) open(a reg.Addr) bool {
	if a < 0x2000 {
		return m.regs[0x5780]>>1&1 == 1
	}
	return m.regs[0x6080]>>1&1 == 1
}

// write is a byte to an address; it tells whether the chip must complain, and
// whether that is certain.
func (m *model) write(a reg.Addr, v byte) (wrong, sure bool) {
	switch {
	case a < 0x4000:
		if !m.open(a) {
			return true, true
		}
		m.memory[a] = v
		return m.regs[0x5600] != 0, true
	case buffer(a) != 0:
		if m.regs[buffer(a)]&1 == 0 {
			return true, true
		}
		m.buffers[a] = v
		return false, true
	}
	b, ok := m.known[a]
	if !ok {
		return true, true
	}
	old := m.regs[a]
	fixed := b.ReadOnly | ^b.Defined
	m.regs[a] = old&fixed | v&^fixed
	return (old^v)&fixed != 0, !loose[a] && !triggers[a]
}

// read is what a byte shows; any says that the model doesn't know it.
func (m *model) read(a reg.Addr) (v byte, any, wrong bool) {
	switch {
	case a < 0x4000 && m.regs[0x5600] == 1:
		return 0, true, false // capture RAM
	case a < 0x4000 && !m.open(a):
		return 0, false, true
	case a < 0x4000:
		return m.memory[a], false, false
	case a == 0x4000:
		return 0, false, true // nothing was received
	case buffer(a) != 0:
		return m.buffers[a], false, false
	}
	if _, ok := m.known[a]; !ok {
		return 0, false, true
	}
	return m.regs[a], loose[a], false
}

// stream makes transfers of bytes: which, where, how long.
type stream struct{ b []byte }

func (s *stream) next() byte {
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return v
}

// address prefers those where something is.
func (s *stream) address(known []reg.Addr) reg.Addr {
	kind, a := s.next(), reg.Addr(s.next())<<8|reg.Addr(s.next())
	switch {
	case kind < 160:
		return known[int(a)%len(known)]
	case kind < 180:
		return a & 0x3FFF
	case kind < 200:
		return 0x5300 | a&0x2FF
	case kind < 210:
		return []reg.Addr{0x5207, 0x5407, 0x5780, 0x6080, 0x5600}[a%5]
	}
	return a & 0x7FFF
}

// differ drives chip and model with the same transfers.
func differ(t *testing.T, b []byte) {
	m, s := newModel(), &stream{b}
	var known []reg.Addr
	reg.Each(func(a reg.Addr, _ reg.Byte) { known = append(known, a) })
	c := newChip(t, Config{})
	defer c.Close()
	for len(s.b) > 0 {
		kind, a, n := s.next(), s.address(known), int(s.next())%20+1
		if kind%8 == 0 {
			m.radio(t, c, int(kind/8%2), s)
			continue
		}
		w := append([]byte{targetChip, byte(a >> 8), byte(a)}, make([]byte, n)...)
		if kind%2 == 0 {
			m.checkWrite(t, c, a, w, s)
		} else {
			m.checkRead(t, c, a, append(w, 0))
		}
	}
}

func (m *model) checkWrite(t *testing.T, c *Chip, a reg.Addr, w []byte, s *stream) {
	w[1] |= writeFlag
	wrong, sure := false, true
	for i := range w[writeHeader:] {
		v := s.next()
		w[writeHeader+i] = v
		bad, certain := m.write(a+reg.Addr(i), v)
		wrong, sure = wrong || bad, sure && certain
	}
	if err := c.transfer(w, nil); sure && (err != nil) != wrong {
		t.Errorf("write %x: %v, the model says wrong: %v", w, err, wrong)
	}
	for i := range w[writeHeader:] { // what changes by itself is taken over
		if at := a + reg.Addr(i); loose[at] || triggers[at] {
			c.mu.Lock()
			m.regs[at] = c.file.at(at)
			c.mu.Unlock()
		}
	}
}

func (m *model) checkRead(t *testing.T, c *Chip, a reg.Addr, w []byte) {
	r := make([]byte, len(w))
	err := c.transfer(w, r)
	complains := false
	for i := range r[readHeader:] {
		at := a + reg.Addr(i)
		if a == 0x4000 {
			at = a // the buffer's address doesn't advance
		}
		v, anything, wrong := m.read(at)
		complains = complains || wrong
		if !anything && !wrong && r[readHeader+i] != v {
			t.Errorf("0x%04X reads %02x in %x, the model says %02x", uint(at), r[readHeader+i], w, v)
		}
	}
	if (err != nil) != complains {
		t.Errorf("read %x: %v, the model says wrong: %v", w, err, complains)
	}
}

// radio sets the frequency of an SX1250 and reads it back, which works while
// the host has the radio and that is out of reset.
func (m *model) radio(t *testing.T, c *Chip, i int, s *stream) {
	w := []byte{byte(1 + i), opSetRFFrequency, s.next(), s.next(), s.next(), s.next()}
	common, lines := m.regs[0x5601], m.regs[reg.Addr(0x5783+i)]
	reachable := common>>3&1 == 1 && common>>i&1 == 1
	if err := c.transfer(w, nil); (err == nil) != reachable {
		t.Errorf("radio %d: %v with 0x5601 = %02x", i, err, common)
	}
	runs := reachable && lines>>2&1 == 1 && lines>>3&1 == 1
	r := make([]byte, 9)
	if err := c.transfer([]byte{byte(1 + i), opReadRegister, 0x08, 0x8B, 0, 0, 0, 0, 0}, r); (err == nil) != reachable {
		t.Errorf("radio %d: %v", i, err)
	}
	for k := range 4 {
		want := byte(0)
		if runs {
			want = w[2+k]
		}
		if r[5+k] != want {
			t.Errorf("radio %d: frequency reads %x, written %x, running %v", i, r[5:], w[2:], runs)
			return
		}
	}
}

// FuzzModel holds the chip against the model.
func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 2, 3, 4})
	f.Add(noise(1, 400))
	f.Fuzz(func(t *testing.T, b []byte) { differ(t, b[:min(len(b), 2000)]) })
}

// noise is random bytes, the same at each run.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1302))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Short form: 300 streams of 2000 bytes. GATEWAYD_CAMPAIGN=full: 30000.
func TestTheChipDoesWhatTheModelSays(t *testing.T) {
	n := 300
	if os.Getenv("GATEWAYD_CAMPAIGN") == "full" {
		n = 30_000
	}
	for seed := range n {
		synctest.Test(t, func(t *testing.T) { differ(t, noise(uint64(seed), 2000)) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d streams", n)
}
