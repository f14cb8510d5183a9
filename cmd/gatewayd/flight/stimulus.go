package flight

import (
	"fmt"
	"slices"

	"gatewayd/concentrator/reg"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
)

// stimulus is what a chip gets from outside of its bus, as far as a recording
// shows it: the packets in its receive buffer, and who it is.
type stimulus struct {
	begins  bool           // there is a start of the chip
	otp     map[byte]byte  // the one-time programmable memory, as it was read
	buffer  []byte         // all bytes that were read from the receive buffer
	given   int            // so many of them are in the chip, or were
	taken   int            // and so many were read
	packets map[int]string // what is wrong with the packet that begins at an index of buffer
}

// newStimulus looks through a recording.
func newStimulus(rec *Recording) *stimulus {
	s := &stimulus{otp: map[byte]byte{}}
	var address byte
	for i := range rec.Entries {
		e := &rec.Entries[i]
		switch {
		case e.Type == typeGap && !s.begins:
			return s
		case e.Type != typeSPI:
			continue
		}
		s.begins = true
		if ok, a, data := writeOf(e.Out); ok {
			if k := int(reg.OTPByteAddr.Addr()) - int(a); k >= 0 && k < len(data) {
				address = data[k]
			}
			continue
		}
		read, a := readOf(e.Out)
		if !read {
			continue
		}
		if a == reg.RXFIFO {
			s.buffer = append(s.buffer, e.In...)
		} else if k := int(reg.OTPRdData.Addr()) - int(a); k >= 0 && k < len(e.In) {
			s.otp[address] = e.In[k]
		}
	}
	s.packets = damaged(s.buffer)
	return s
}

// eui is the chip's identity.
func (s *stimulus) eui() (e radio.EUI64) {
	for i := range e {
		e[i] = s.otp[byte(i)]
	}
	return e
}

// otpModel is where the memory has the chip's model.
const otpModel = 0xD0

func (s *stimulus) model() sx1302sim.Model { return sx1302sim.Model(s.otp[otpModel]) }

// before puts into the chip what it must have received before a frame, and
// says what is wrong with what was received.
func (s *stimulus) before(chip *sx1302sim.Chip, e *Entry) string {
	read, a := readOf(e.Out)
	if !read {
		return ""
	}
	want := 0
	if a == reg.RXFIFO {
		want = len(e.In)
	} else if k := int(reg.RXBufferNbBytesMSB.Addr()) - int(a); k >= 0 && k+1 < len(e.In) {
		want = int(reg.RXBufferNbBytesMSB.Get(e.In[k]))<<8 | int(e.In[k+1])
	}
	if more := want - (s.given - s.taken); more > 0 {
		from := min(s.given, len(s.buffer))
		data := s.buffer[from:min(from+more, len(s.buffer))]
		data = append(slices.Clip(data), make([]byte, more-len(data))...) // never read
		if !chip.Inject(data) {
			return fmt.Sprintf("the receive buffer has %d bytes more, for which it has no room", more)
		}
		s.given += more
	}
	if a != reg.RXFIFO {
		return ""
	}
	from := s.taken
	s.taken += len(e.In)
	for at := from; at < s.taken; at++ {
		if why := s.packets[at]; why != "" {
			return why
		}
	}
	return ""
}

// Layout of a packet in the receive buffer: two bytes of sync, its size, what
// else is before and behind the payload, two bytes for each metric, a sum.
const (
	packetSync0   = 0xA5
	packetSync1   = 0xC0
	packetSize    = 2
	packetHeader  = 9
	packetMetrics = 12 // behind the payload: their number
	packetTail    = 14 // behind the payload, the sum included
)

// damaged checks the packets in a stream by their sums, and returns what is
// wrong with them by where they begin. The end of the stream may be a part.
func damaged(stream []byte) map[int]string {
	wrong := map[int]string{}
	for at := 0; at < len(stream); {
		p := stream[at:]
		if p[0] != packetSync0 || len(p) > 1 && p[1] != packetSync1 {
			wrong[at] = fmt.Sprintf("byte %d of the receive buffer is 0x%02X, where a packet begins with %02X%02X", at, p[0], packetSync0, packetSync1)
			return wrong
		}
		if len(p) < packetHeader {
			break
		}
		n := packetHeader + int(p[packetSize]) + packetTail
		if metrics := packetHeader + int(p[packetSize]) + packetMetrics; len(p) > metrics {
			n += 2 * int(p[metrics])
		}
		if len(p) < n {
			break
		}
		var sum byte
		for _, b := range p[:n-1] {
			sum += b
		}
		if sum != p[n-1] {
			wrong[at] = fmt.Sprintf("the packet of %d bytes at byte %d of the receive buffer has the sum 0x%02X, its bytes give 0x%02X", n, at, p[n-1], sum)
		}
		at += n
	}
	return wrong
}
