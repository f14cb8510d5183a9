package bridge

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Order is what a message asks for or answers.
type Order byte

// Orders. An answer is its request's order with [AnswerTo].
const (
	Ping        Order = 0
	GetStatus   Order = 1
	Boot        Order = 2
	Restart     Order = 3
	WritePin    Order = 4
	MultipleSPI Order = 5

	// NotUnderstood answers a request whose order or size is wrong.
	NotUnderstood Order = 0xFF

	answerFlag Order = 0x40
)

// AnswerTo is the order of the answer to a request.
func AnswerTo(o Order) Order { return o | answerFlag }

// Sizes and limits of messages, in bytes.
const (
	HeaderSize = 4
	PingSize   = 21
	StatusSize = 6
	PinSize    = 3
	// MaxPayload is the largest payload that a request may have.
	MaxPayload = 4200
	// MaxSPI is the largest payload of MultipleSPI.
	MaxSPI = 4194
)

// Header begins each message.
type Header struct {
	ID    byte // the answer has that of its request
	Size  int  // of the payload, 0 to 65535
	Order Order
}

// Append adds the header's bytes to b.
func (h Header) Append(b []byte) []byte {
	return append(b, h.ID, byte(h.Size>>8), byte(h.Size), byte(h.Order))
}

// ParseHeader reads the first [HeaderSize] bytes of b.
func ParseHeader(b []byte) Header {
	return Header{ID: b[0], Size: int(binary.BigEndian.Uint16(b[1:])), Order: Order(b[3])}
}

// Info is what a ping tells.
type Info struct {
	UniqueID [12]byte // of the microcontroller
	Version  string   // of its firmware, e.g. "V01.00.00"
}

// Append adds the payload's bytes to b. A version is 9 bytes.
func (i Info) Append(b []byte) []byte {
	var v [PingSize - len(i.UniqueID)]byte
	copy(v[:], i.Version)
	return append(append(b, i.UniqueID[:]...), v[:]...)
}

// ParseInfo reads the payload of an answer to a ping.
func ParseInfo(b []byte) (Info, error) {
	if len(b) != PingSize {
		return Info{}, fmt.Errorf("%w: %d bytes of identity, %d are wanted", ErrAnswer, len(b), PingSize)
	}
	i := Info{Version: strings.TrimRight(string(b[12:]), "\x00")}
	copy(i.UniqueID[:], b)
	return i, nil
}

// Status is how the microcontroller is.
type Status struct {
	Uptime  time.Duration // since its start, in milliseconds
	Celsius float64       // at its thermometer, in steps of 0.01
	NoTemp  bool          // there is no thermometer
}

// noTemperature is what is sent without a thermometer.
const noTemperature = -1

// Append adds the payload's bytes to b.
func (s Status) Append(b []byte) []byte {
	raw := int16(s.Celsius * 100)
	if s.NoTemp {
		raw = noTemperature
	}
	b = binary.BigEndian.AppendUint32(b, uint32(s.Uptime.Milliseconds()))
	return binary.BigEndian.AppendUint16(b, uint16(raw))
}

// ParseStatus reads the payload of an answer to a status request.
func ParseStatus(b []byte) (Status, error) {
	if len(b) != StatusSize {
		return Status{}, fmt.Errorf("%w: %d bytes of status, %d are wanted", ErrAnswer, len(b), StatusSize)
	}
	s := Status{Uptime: time.Duration(binary.BigEndian.Uint32(b)) * time.Millisecond}
	raw := int16(binary.BigEndian.Uint16(b[4:]))
	s.Celsius, s.NoTemp = float64(raw)/100, raw == noTemperature
	return s, nil
}

// Target is what an SPI request goes to.
type Target byte

// Targets.
const (
	SX1302 Target = 0 // and the radios behind it
	SX1261 Target = 1
)

// Kind is how an SPI request accesses its target.
type Kind byte

// Kinds of SPI requests.
const (
	ReadWrite Kind = 1 // one chip-select frame
	Modify    Kind = 2 // some bits of a register of the SX1302
)

// Result is what became of a pin or an SPI request.
type Result byte

// Results.
const (
	Done       Result = 0
	Failed     Result = 1
	NotAllowed Result = 2
	StaysBusy  Result = 3
)

// String says it in words.
func (r Result) String() string {
	switch r {
	case Done:
		return "done"
	case Failed:
		return "failed"
	case NotAllowed:
		return "not allowed"
	case StaysBusy:
		return "the radio stays busy"
	}
	return fmt.Sprintf("result %d", byte(r))
}

// Sizes of the fixed parts of SPI requests and answers.
const (
	frameHead  = 5 // of a ReadWrite, request and answer
	modifySize = 6
	modified   = 5
	shortSize  = 3 // an answer that has nothing but its result
)

// Request is one SPI request.
type Request struct {
	Number byte // the answer has the same
	Kind   Kind

	Target Target // of a ReadWrite
	Data   []byte // bytes out

	Register    uint16 // of a Modify: new = old and not mask, or value
	Mask, Value byte
}

// Append adds the request's bytes to b.
func (r Request) Append(b []byte) []byte {
	b = append(b, r.Number, byte(r.Kind))
	if r.Kind == Modify {
		return append(b, byte(r.Register>>8), byte(r.Register), r.Mask, r.Value)
	}
	b = append(b, byte(r.Target), byte(len(r.Data)>>8), byte(len(r.Data)))
	return append(b, r.Data...)
}

// NextRequest takes the first request off b; false if b holds only a part of
// it. A request of unknown kind has no more than its number and kind.
func NextRequest(b []byte) (r Request, rest []byte, ok bool) {
	if len(b) < 2 {
		return r, nil, false
	}
	r.Number, r.Kind = b[0], Kind(b[1])
	switch r.Kind {
	case ReadWrite:
		if len(b) < frameHead {
			return r, nil, false
		}
		r.Target = Target(b[2])
		end := frameHead + int(binary.BigEndian.Uint16(b[3:]))
		if len(b) < end {
			return r, nil, false
		}
		r.Data = b[frameHead:end]
		return r, b[end:], true
	case Modify:
		if len(b) < modifySize {
			return r, nil, false
		}
		r.Register, r.Mask, r.Value = binary.BigEndian.Uint16(b[2:]), b[4], b[5]
		return r, b[modifySize:], true
	}
	return r, b[2:], true
}

// Answer is what became of one SPI request.
type Answer struct {
	Number byte
	Kind   Kind
	Result Result
	Data   []byte // bytes in; of a Modify the values before and after
}

// Append adds the answer's bytes to b.
func (a Answer) Append(b []byte) []byte {
	b = append(b, a.Number, byte(a.Kind), byte(a.Result))
	if a.Kind == ReadWrite {
		b = append(b, byte(len(a.Data)>>8), byte(len(a.Data)))
	}
	return append(b, a.Data...)
}

// NextAnswer takes the first answer off b.
func NextAnswer(b []byte) (a Answer, rest []byte, err error) {
	if len(b) < shortSize {
		return a, nil, cutOff(len(b))
	}
	a.Number, a.Kind, a.Result = b[0], Kind(b[1]), Result(b[2])
	begin, end := shortSize, shortSize
	switch {
	case a.Kind == ReadWrite && len(b) < frameHead:
		return a, nil, cutOff(len(b))
	case a.Kind == ReadWrite:
		begin, end = frameHead, frameHead+int(binary.BigEndian.Uint16(b[3:]))
	case a.Kind == Modify && a.Result == Done:
		end = modified
	}
	if len(b) < end {
		return a, nil, cutOff(len(b))
	}
	a.Data = b[begin:end:end]
	return a, b[end:], nil
}

func cutOff(n int) error {
	return fmt.Errorf("%w: the answer to an SPI request is cut off after %d bytes", ErrAnswer, n)
}
