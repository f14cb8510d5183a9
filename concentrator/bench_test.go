package concentrator

import (
	"encoding/binary"
	"testing"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
)

// model is just enough of a chip to let the driver work outside a synctest
// bubble: a receive buffer, a counter, a transmitter that always does right.
type model struct {
	fifo      []byte
	frames    int
	bytes     int
	start     time.Time
	skew      uint32
	tx        txStatus
	memory    [0x8000]byte
	onTrigger func()
	pause     func() // at both ends of a transfer
}

func (m *model) String() string { return "model" }

func (m *model) Tx(w, r []byte) error {
	if m.pause != nil {
		m.pause()
		defer m.pause()
	}
	m.frames++
	m.bytes += len(w)
	clear(r)
	a := reg.Addr(w[1]&^writeFlag)<<8 | reg.Addr(w[2])
	if w[1]&writeFlag != 0 {
		copy(m.memory[a:], w[writeHeader:])
		if a == reg.TXTrigDelayed.Addr() && w[writeHeader] != 0 && m.onTrigger != nil {
			m.onTrigger()
		}
		return nil
	}
	data := r[readHeader:]
	switch a {
	case reg.RXFIFO:
		n := copy(data, m.fifo)
		m.fifo = m.fifo[n:]
	case reg.RXBufferNbBytesMSB.Addr():
		binary.BigEndian.PutUint16(data, uint16(len(m.fifo)))
	case reg.TimestampMsb2.Addr():
		binary.BigEndian.PutUint32(data, m.count())
	case reg.TimestampPPSMsb2.Addr():
		copy(data, m.memory[a:])
		binary.BigEndian.PutUint32(data[4:], m.count())
	case reg.TXFsmStatusTX.Addr():
		data[0] = byte(m.tx)
	default:
		copy(data, m.memory[a:])
	}
	return nil
}

func (m *model) count() uint32 { return m.skew + uint32(time.Since(m.start).Nanoseconds()*32/1000) }

func modelled(b testing.TB) (*session, *model) {
	s := offline(b, eu868(b))
	m := &model{start: time.Now(), tx: 0x80}
	s.c.bus.conn, s.c.bus.limit = spiConn{m}, maxFrame
	r, err := s.drv.counter()
	if err != nil {
		b.Fatal(err)
	}
	s.clock.set = false
	s.clock.adopt(r.low, r.at)
	m.frames, m.bytes = 0, 0
	return s, m
}

// report gives SPI cost and that of the vendor's library (recorded).
func (m *model) report(b *testing.B, n, refFrames, refBytes int) {
	b.ReportMetric(float64(m.frames)/float64(n), "frames/op")
	b.ReportMetric(float64(m.bytes)/float64(n), "bytes/op")
	b.ReportMetric(float64(refFrames), "ref-frames/op")
	b.ReportMetric(float64(refBytes), "ref-bytes/op")
}

func BenchmarkIdlePoll(b *testing.B) {
	s, m := modelled(b)
	for b.Loop() {
		if _, err := s.poll(); err != nil {
			b.Fatal(err)
		}
	}
	m.report(b, b.N, 4, 36)
}

func benchmarkPackets(b *testing.B, count, refFrames, refBytes int) {
	s, m := modelled(b)
	one := onePacket(b)
	for b.Loop() {
		stamp := m.count() - 1_000_000
		for range count {
			binary.LittleEndian.PutUint32(one[15+17:], stamp)
			one[len(one)-1] = checksum(one[:len(one)-1])
			m.fifo = append(m.fifo, one...)
		}
		if _, err := s.poll(); err != nil {
			b.Fatal(err)
		}
		for range count {
			<-s.c.uplinks
		}
	}
	m.report(b, b.N, refFrames, refBytes)
}

func BenchmarkOnePacket(b *testing.B) { benchmarkPackets(b, 1, 5, 80) }

// The reference needs five frames for what its buffer holds, and 16 * 40 + 40 bytes.
func BenchmarkSixteenPackets(b *testing.B) { benchmarkPackets(b, 16, 5, 680) }

// One transmission from Schedule to the Report, the same settings each time.
func BenchmarkTransmit(b *testing.B) {
	s, m := modelled(b)
	low := radio.LoRa{SF: 12, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}
	for b.Loop() {
		now := s.clock.now(time.Now())
		t, err := s.c.cfg.plan(radio.Downlink{ID: 1, Payload: make([]byte, 17), At: now.instant() + 60_000_000, Freq: 868_500_000, Power: 14, Mod: low})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.admit(t); err != nil {
			b.Fatal(err)
		}
		if err := s.transmit(); err != nil { // settings
			b.Fatal(err)
		}
		if err := s.arm(); err != nil {
			b.Fatal(err)
		}
		s.passTo(m, t.at+ticksIn(startCheck), 0x30)
		s.passTo(m, t.end+ticksIn(endCheck), 0x80)
		if r := <-s.c.reports; r.Err != nil {
			b.Fatal(r.Err)
		}
	}
	m.report(b, b.N, 65+3, 301+15) // its three looks at the state included
}

// passTo lets time pass without waiting: counter and clock jump together.
func (s *session) passTo(m *model, to ticks, state txStatus) {
	by := to - s.clock.now(time.Now())
	m.skew += uint32(by)
	s.clock.ticks += by
	m.tx = state
	if err := s.check(); err != nil {
		panic(err)
	}
}

func BenchmarkDecode(b *testing.B) {
	var buf []byte
	for range 16 {
		buf = append(buf, onePacket(b)...)
	}
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if packets, _, _ := decode(buf, true, false); len(packets) != 16 {
			b.Fatal(len(packets))
		}
	}
}
