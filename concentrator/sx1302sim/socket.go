package sx1302sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// Limits of the chip-select socket.
const (
	maxSocketFrame = 64 << 10         // longer ones are not frames
	maxClients     = 16               // more are turned away
	socketPatience = 10 * time.Second // for the rest of a frame, and for the client to take the answer
)

// errMalformed ends a client.
var errMalformed = errors.New("not a chip-select frame")

// Serve makes the chip's bus available on a stream socket, until ctx ends:
//
//	request:   N as 4 bytes, big-endian; N bytes clocked out
//	response:  N bytes clocked in
//
// N is 1 to 65536. A client that sends anything else is disconnected. Up to
// 16 clients share the bus, a transfer at a time. Violations are counted and
// reported as for the port, but the client gets its answer. Serve closes l.
func (c *Chip) Serve(ctx context.Context, l net.Listener) error {
	return serveFrames(ctx, l, c.log, spiFrames(c.transfer))
}

// answerer answers a request with a response, for which it may use r.
type answerer func(request, r []byte) (response []byte, err error)

// spiFrames answers a frame with as many bytes.
func spiFrames(transfer func(w, r []byte) error) answerer {
	return func(w, r []byte) ([]byte, error) {
		r = slices.Grow(r[:0], len(w))[:len(w)]
		err := transfer(w, r)
		if errors.Is(err, ErrTransfer) || errors.Is(err, ErrClosed) {
			return nil, err
		}
		return r, nil // violations are counted, and answered
	}
}

// serveFrames serves all clients of a socket until ctx ends.
func serveFrames(ctx context.Context, l net.Listener, log *slog.Logger, answer answerer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel() // before the wait: it closes the clients
	places := make(chan struct{}, maxClients)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept on bus socket: %w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			log.Warn("bus socket client turned away", "clients", maxClients)
			conn.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-places }()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			defer conn.Close()
			if err := serveClient(conn, answer); err != nil && ctx.Err() == nil {
				log.Warn("bus socket client disconnected", "err", err)
			}
		})
	}
}

// serveClient serves one connection until it ends; nil if it ended between
// requests.
func serveClient(conn net.Conn, answer answerer) error {
	var w, r []byte
	for {
		var err error
		if w, err = readFrame(conn, w); err != nil || w == nil {
			return err
		}
		if r, err = answer(w, r); err != nil {
			return err
		}
		if err := conn.SetWriteDeadline(time.Now().Add(socketPatience)); err != nil {
			return err
		}
		if _, err := conn.Write(r); err != nil {
			return fmt.Errorf("answer a frame: %w", err)
		}
	}
}

// readFrame reads one request into buf, which grows as needed; nil if the
// client has ended the connection. It waits for the first byte as long as that takes.
func readFrame(conn net.Conn, buf []byte) ([]byte, error) {
	var header [4]byte
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, header[:1]); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("wait for a frame: %w", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(socketPatience)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, header[1:]); err != nil {
		return nil, fmt.Errorf("%w: length cut off: %w", errMalformed, err)
	}
	n := binary.BigEndian.Uint32(header[:])
	if n == 0 || n > maxSocketFrame {
		return nil, fmt.Errorf("%w: length %d; 1 to %d are allowed", errMalformed, n, maxSocketFrame)
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, fmt.Errorf("%w: %d bytes cut off: %w", errMalformed, n, err)
	}
	return buf, nil
}
