package concentrator

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout     = 5 * time.Second
	transferTimeout = 2 * time.Second
	socketScheme    = "unix:"
)

// socket is a bus behind a unix stream socket: a request is a 32-bit
// big-endian length and that many bytes; how long the answer is follows from
// the request. Every wait has a deadline. After a failed exchange the two ends
// are out of step, so it connects anew for the next one.
type socket struct {
	kind string // "SPI socket", for errors
	path string

	mu     sync.Mutex
	conn   net.Conn // nil after a failure
	closed bool
	frame  []byte
}

// dialSocket connects to "unix:PATH".
func dialSocket(kind, path string) (*socket, error) {
	name, ok := strings.CutPrefix(path, socketScheme)
	if !ok || name == "" {
		return nil, fmt.Errorf("%w: %s %q: %sPATH is wanted", ErrConfig, kind, path, socketScheme)
	}
	s := &socket{kind: kind, path: name}
	return s, s.dial()
}

func (s *socket) dial() error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", s.path)
	if err != nil {
		return fmt.Errorf("%s: %w", s.kind, err)
	}
	s.conn = c
	return nil
}

// String implements conn.Resource.
func (s *socket) String() string { return socketScheme + s.path }

// Close implements io.Closer.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn == nil {
		return nil
	}
	c := s.conn
	s.conn = nil
	return c.Close()
}

// exchange sends a request, which is head and body, and fills answer.
func (s *socket) exchange(head, body, answer []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if s.conn == nil {
		if err := s.dial(); err != nil {
			return err
		}
	}
	s.frame = binary.BigEndian.AppendUint32(s.frame[:0], uint32(len(head)+len(body)))
	s.frame = append(append(s.frame, head...), body...)
	if err := s.roundTrip(answer); err != nil {
		_ = s.conn.Close()
		s.conn = nil
		return fmt.Errorf("%s: %w", s.kind, err)
	}
	return nil
}

func (s *socket) roundTrip(answer []byte) error {
	if err := s.conn.SetDeadline(time.Now().Add(transferTimeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(s.frame); err != nil {
		return err
	}
	_, err := io.ReadFull(s.conn, answer)
	return err
}
