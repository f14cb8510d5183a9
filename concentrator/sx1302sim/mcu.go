package sx1302sim

import "gatewayd/concentrator/reg"

// stuckByte is where the AGC's program memory has the bit of
// [Misbehaviour.StuckBit].
const stuckByte = 0x0123

// memory is the program memory of one of the two MCUs.
type memory struct {
	bytes   [reg.MCUMemorySize]byte
	written [reg.MCUMemorySize / 64]uint64 // since power-up, a bit for each byte
}

// complete tells whether each byte has been written since power-up: before
// that its parity is arbitrary.
func (m *memory) complete() bool {
	for _, w := range m.written {
		if w != ^uint64(0) {
			return false
		}
	}
	return true
}

// blank tells whether there is no program.
func (m *memory) blank() bool { return m.bytes == [reg.MCUMemorySize]byte{} }

// mcu is what the two MCUs have in common.
type mcu struct {
	memory  memory
	running bool
	parity  bool
}

func (m *mcu) halt() { m.running, m.parity = false, false }

// read and write give the host access to the memory while HOST_PROG is set.
func (m *mcu) read(c *Chip, name string, i int, open bool) byte {
	if !open {
		c.violation("read of %s memory while HOST_PROG is 0: the MCU owns it; set HOST_PROG first", name)
		return 0
	}
	return m.memory.bytes[i]
}

func (m *mcu) write(c *Chip, name string, i int, v byte, open bool) {
	if !open {
		c.violation("write to %s memory while HOST_PROG is 0: the MCU owns it; set HOST_PROG first", name)
		return
	}
	if page := c.file.get(reg.CommonPage); page != 0 {
		c.violation("write to %s memory while the page register (0x5600) is %d; set it to 0 first", name, page)
	}
	if name == "AGC" && i == stuckByte && c.faults.active(&c.faults.m.StuckBit) {
		v &^= 1
	}
	m.memory.bytes[i] = v
	m.memory.written[i/64] |= 1 << (i % 64)
}

// starts tells whether a write to the control register makes the MCU start:
// CLEAR and HOST_PROG are both 0 and were not. It stops when either rises.
func (m *mcu) starts(c *Chip, mask, old, v byte) bool {
	switch {
	case v&mask != 0:
		m.running = false
		return false
	case old&mask == 0:
		return false
	}
	m.parity = !m.memory.complete()
	m.running = !m.parity && !m.memory.blank() && c.clocked()
	return m.running
}
