package sx1302sim

import "gatewayd/concentrator/reg"

// fifo is the receive buffer: a ring of 4096 bytes. What doesn't fit as a
// whole packet is dropped.
type fifo struct {
	ring        [reg.RXFIFOSize]byte
	read, count int
}

// push appends a packet, false if there is no room.
func (f *fifo) push(packet []byte) bool {
	if f.count+len(packet) > len(f.ring) {
		return false
	}
	for _, b := range packet {
		f.ring[(f.read+f.count)%len(f.ring)] = b
		f.count++
	}
	return true
}

// pop takes the oldest byte, false if there is none.
func (f *fifo) pop() (byte, bool) {
	if f.count == 0 {
		return 0, false
	}
	b := f.ring[f.read]
	f.read = (f.read + 1) % len(f.ring)
	f.count--
	return b, true
}

// Inject puts bytes into the receive buffer as if demodulators had; false if
// they don't fit. It replays what another chip received.
func (c *Chip) Inject(data []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fifo.push(data)
}

// popFIFO is one byte of a read of the FIFO.
func (c *Chip) popFIFO() byte {
	b, ok := c.fifo.pop()
	if !ok {
		c.violation("read of the receive buffer beyond its byte count; read 0x58C8 first and not more than it says")
		return 0
	}
	return b ^ c.faults.pop()
}

// drain fills r from the FIFO, whose address doesn't advance.
func (c *Chip) drain(r []byte) {
	if len(r) > c.fifo.count {
		c.violation("read of %d bytes from the receive buffer, which holds %d; read 0x58C8 first and not more than it says", len(r), c.fifo.count)
		r = r[:c.fifo.count]
	}
	for i := range r {
		r[i] = c.popFIFO()
	}
}

// latchFIFO fills the byte count and the two pointers. A fault can tear the
// count: its high byte is then one too small.
func (c *Chip) latchFIFO() {
	n := c.fifo.count
	if n > 0xFF && c.faults.take(&c.faults.m.TornCount) {
		n -= 0x100
	}
	write := (c.fifo.read + c.fifo.count) % len(c.fifo.ring)
	c.file.put(reg.RXBufferNbBytesMSB, byte(n>>8))
	c.file.put(reg.RXBufferNbBytesLSB, byte(n))
	c.file.put(reg.RXBufferLastAddrReadMSB, byte(c.fifo.read>>8))
	c.file.put(reg.RXBufferLastAddrReadLSB, byte(c.fifo.read))
	c.file.put(reg.RXBufferLastAddrWriteMSB, byte(write>>8))
	c.file.put(reg.RXBufferLastAddrWriteLSB, byte(write))
}
