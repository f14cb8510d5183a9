package air

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Limits of the air protocol.
const (
	maxLine     = 4096 // bytes without the newline
	maxQueue    = 1024 // lines that wait to be written to one client
	maxRequests = 4096 // open tx and rx of one client
	writeLimit  = 10 * time.Second
)

// Serve speaks the air protocol (docs/air.md) with every client of l until
// ctx ends; then it closes l and all connections and returns nil. Another
// error means that l can't accept any more. A nil log discards.
func Serve(ctx context.Context, l net.Listener, m *Medium, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		var temporary interface{ Temporary() bool } // out of file descriptors, aborted connection
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &temporary) && temporary.Temporary():
			log.Warn("accept a client of the air", "err", err)
			if !pause(ctx, time.Second) {
				return nil
			}
		case err != nil:
			return fmt.Errorf("accept a client of the air: %w", err)
		default:
			clients.Go(func() { ServeClient(ctx, c, m, log) })
		}
	}
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ServeClient speaks the air protocol with one client until that hangs up or
// ctx ends, and closes the connection. A nil log discards.
func ServeClient(ctx context.Context, conn net.Conn, m *Medium, log *slog.Logger) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("client", conn.RemoteAddr().String())
	// This goroutine reads, another one writes.
	ctx, cancel := context.WithCancelCause(ctx)
	c := &client{m: m, out: make(chan []byte, maxQueue), fail: cancel, txs: map[string]uint64{}, rxs: map[string]func() bool{}}
	written := make(chan struct{})
	go func() {
		defer close(written)
		defer conn.Close() // wakes the reader
		c.write(ctx, conn)
	}()
	log.Debug("client of the air connected")
	err := c.read(conn)
	c.leave()
	cancel(err)
	<-written
	log.Debug("client of the air disconnected", "err", context.Cause(ctx))
}

// errLine and errSlow end a connection; the client is told.
var (
	errLine = fmt.Errorf("line is longer than %d bytes: the connection is closed", maxLine)
	errSlow = fmt.Errorf("more than %d lines wait to be read by this client: the connection is closed; read faster, or switch monitor off", maxQueue)
)

// read handles lines until the client hangs up (nil) or breaks the rules.
func (c *client) read(conn io.Reader) error {
	r := bufio.NewReaderSize(conn, maxLine+1)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errLine
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			c.handle(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from the client: %w", err)
		}
	}
}

// write sends queued lines until ctx ends, then what is still queued if the
// client merely hung up, or the reason.
func (c *client) write(ctx context.Context, conn net.Conn) {
	put := func(line []byte) bool {
		// A deadline that can't be set shows in the write itself.
		_ = conn.SetWriteDeadline(time.Now().Add(writeLimit))
		_, err := conn.Write(line)
		if err != nil {
			c.fail(fmt.Errorf("write to the client: %w", err))
		}
		return err == nil
	}
	for ctx.Err() == nil {
		select {
		case line := <-c.out:
			if !put(line) {
				return
			}
		case <-ctx.Done():
		}
	}
	reason := context.Cause(ctx)
	for len(c.out) > 0 && !errors.Is(reason, errSlow) {
		if !put(<-c.out) {
			return
		}
	}
	if !errors.Is(reason, errLine) && !errors.Is(reason, errSlow) {
		return
	}
	if put(encode(failure{Op: "error", Message: reason.Error()})) {
		linger(conn)
	}
}

// linger lets the last line arrive: a connection that is closed while there
// is input to read is reset, which may destroy what was sent.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, conn, 1<<20)
}
