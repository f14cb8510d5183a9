package dataapi

import (
	"encoding/binary"
	"sync"

	"github.com/gorilla/websocket"
)

// frame is a WebSocket frame as it goes over the wire: a header and a payload
// that is not masked (RFC 6455 §5.2). One serves all connections. A frame is
// written by a single call, so that those of several goroutines don't mix.
type frame struct {
	wire []byte
	text bool // a message, not a control frame
}

func newFrame(opcode byte, payload []byte) *frame {
	const final = 0x80
	b := make([]byte, 0, len(payload)+10)
	b = append(b, final|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return &frame{append(b, payload...), opcode == websocket.TextMessage}
}

// messages is how many it counts for: control frames are none.
func (f *frame) messages() uint64 {
	if f.text {
		return 1
	}
	return 0
}

// textFrame makes a message's frame.
func textFrame(text []byte) *frame { return newFrame(websocket.TextMessage, text) }

// batchSize is about how much is written at once, bytes.
const batchSize = 16 << 10

// batches are buffers for several frames.
type batches struct{ pool sync.Pool }

func (p *batches) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, batchSize+4096)
	return &b
}

func (p *batches) put(b *[]byte) {
	if cap(*b) <= 4*batchSize { // a huge one may go
		*b = (*b)[:0]
		p.pool.Put(b)
	}
}
