package gnss

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"time"
)

const (
	// maxPayload bounds a UBX message; the longest that matters has 92 bytes.
	maxPayload = 1024
	// maxSentence bounds an NMEA sentence from $ to the line's end. The
	// standard says 82, receivers with many satellites write longer ones.
	maxSentence = 160

	ubxSync1, ubxSync2 = 0xB5, 0x62
	ubxOverhead        = 8 // sync, class, id, length, checksum
)

// Message is one message whose checksum is right.
type Message struct {
	At        time.Time // when it was complete
	Sentence  string    // NMEA between $ and *; "" for UBX
	Class, ID byte      // UBX
	Payload   []byte    // UBX
}

// Scanner finds messages in a stream of bytes. Damage costs the damaged
// message only: the search goes on one byte behind its start. It keeps 2 kB.
type Scanner struct {
	r       io.Reader
	at      time.Time // of the last read
	buf     []byte
	chunk   [512]byte
	skipped uint64
	damaged uint64
}

// NewScanner returns a Scanner over r.
func NewScanner(r io.Reader) *Scanner { return &Scanner{r: r} }

// Next returns the next good message, or the stream's error.
func (s *Scanner) Next() (Message, error) {
	for empty := 0; ; {
		m, n, found := scan(s.buf)
		s.buf = s.buf[n:]
		switch {
		case found == good:
			m.At = s.at
			return m, nil
		case found == bad:
			s.damaged++
		}
		s.skipped += uint64(n)
		if n > 0 {
			continue
		}
		n, err := s.r.Read(s.chunk[:])
		s.at = time.Now()
		s.buf = append(bytes.Clone(s.buf), s.chunk[:n]...)
		if n > 0 {
			empty = 0
			continue
		}
		if err != nil {
			return Message{}, err
		}
		if empty++; empty > 100 {
			return Message{}, io.ErrNoProgress
		}
	}
}

// Damaged counts messages whose checksum or form was wrong.
func (s *Scanner) Damaged() uint64 { return s.damaged }

// verdict is what scan found at the head of its bytes.
type verdict uint8

const (
	nothing verdict = iota // n bytes can be skipped; with n = 0 more are needed
	good
	bad // something that began like a message, skipped by n = 1
)

// scan looks at the head of b; n bytes of it are done with.
func scan(b []byte) (m Message, n int, found verdict) {
	start := bytes.IndexByte(b, '$')
	if u := bytes.IndexByte(b, ubxSync1); start < 0 || u >= 0 && u < start {
		start = u
	}
	switch {
	case start < 0:
		return m, len(b), nothing
	case start > 0:
		return m, start, nothing
	case b[0] == '$':
		return scanSentence(b)
	}
	return scanUBX(b)
}

func scanUBX(b []byte) (m Message, n int, found verdict) {
	if len(b) >= 2 && b[1] != ubxSync2 {
		return m, 1, nothing
	}
	if len(b) < 6 {
		return m, 0, nothing
	}
	size := int(binary.LittleEndian.Uint16(b[4:]))
	if size > maxPayload {
		return m, 1, bad
	}
	if len(b) < size+ubxOverhead {
		return m, 0, nothing
	}
	body := b[2 : size+6]
	if a, c := fletcher(body); a != b[size+6] || c != b[size+7] {
		return m, 1, bad
	}
	m.Class, m.ID, m.Payload = b[2], b[3], bytes.Clone(b[6:size+6])
	return m, size + ubxOverhead, good
}

func scanSentence(b []byte) (m Message, n int, found verdict) {
	end := -1
	for i, c := range b[1:min(len(b), maxSentence)] {
		if c == '\n' {
			end = i + 1
			break
		}
		if c == '$' || c != '\r' && (c < ' ' || c > '~') {
			return m, 1, bad
		}
	}
	if end < 0 {
		if len(b) >= maxSentence {
			return m, 1, bad
		}
		return m, 0, nothing
	}
	text, sum, ok := bytes.Cut(bytes.TrimRight(b[1:end], "\r"), []byte("*"))
	want, err := strconv.ParseUint(string(sum), 16, 8)
	if !ok || err != nil || len(sum) != 2 || byte(want) != xor(text) || len(text) == 0 {
		return m, 1, bad
	}
	m.Sentence = string(text)
	return m, end + 1, good
}

// fletcher is the checksum of UBX (8-bit Fletcher).
func fletcher(b []byte) (a, c byte) {
	for _, v := range b {
		a += v
		c += a
	}
	return a, c
}

func xor(b []byte) (x byte) {
	for _, v := range b {
		x ^= v
	}
	return x
}

// EncodeUBX frames a UBX message.
func EncodeUBX(class, id byte, payload []byte) []byte {
	b := []byte{ubxSync1, ubxSync2, class, id}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(payload)))
	b = append(b, payload...)
	x, y := fletcher(b[2:])
	return append(b, x, y)
}

// EncodeNMEA frames an NMEA sentence, e.g. "GPZDA,…".
func EncodeNMEA(sentence string) []byte {
	return fmt.Appendf(nil, "$%s*%02X\r\n", sentence, xor([]byte(sentence)))
}
