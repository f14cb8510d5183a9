package air

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

// idle takes note that the client waits, and wakes it when it wants to be.
func (c *client) idle(r request) error {
	none := int64(-1)
	if _, err := r.integer("seen", 0, int64(maxInstant), &none); err != nil {
		return err
	}
	until, err := r.instant("until_us", maxInstant)
	if err != nil {
		return err
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.unplan(c.wake)
	c.wake = nil
	if until == maxInstant {
		return nil
	}
	c.wake = c.m.plan(until, orderWindow, func() []func() {
		return []func(){func() { c.say(nowIs{"time", c.m.Now()}) }}
	})
	return nil
}

// awaken takes back what idle planned.
func (c *client) awaken() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.unplan(c.wake)
	c.wake = nil
}

// patience is how long, in real time, a client in virtual time may take to
// answer; the clock stands still meanwhile.
const patience = 30 * time.Second

// lockstep is the connection of a client in virtual time.
type lockstep struct {
	net.Conn
	in   *bufio.Reader
	rest []byte // of the line that is being read; one reader has it

	mu   sync.Mutex
	sent int // lines to the client
	seen int // of them it had when it was idle; -1: it is not
	gone bool
	more chan struct{} // closed and made anew when sent or gone changes
}

// Lockstep lets a client outside of a bubble of virtual time (package
// testing/synctest) take part in it: the clock stands still until the client
// has said "idle" after the last line that it was sent. Hand it to
// [ServeClient] in the bubble. A client that says nothing for 30 s of real
// time is given up.
func Lockstep(conn net.Conn) net.Conn {
	return &lockstep{Conn: conn, in: bufio.NewReaderSize(conn, maxLine+1), seen: -1, more: make(chan struct{})}
}

// Read returns the client's lines. While that is idle it waits in the bubble,
// where waiting lets the clock go on; else at the socket, where it doesn't.
func (l *lockstep) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if !l.await() {
			return 0, net.ErrClosed
		}
		// Deadlines of sockets keep to real time, in a bubble, too.
		_ = l.Conn.SetReadDeadline(time.Now().Add(patience))
		line, err := l.in.ReadSlice('\n')
		if err != nil && len(line) == 0 {
			return 0, fmt.Errorf("a client in virtual time has to say idle, or something: %w", err)
		}
		l.rest = line
		l.note(line)
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// note remembers how many lines an idle client had seen.
func (l *lockstep) note(line []byte) {
	var m struct {
		Op   string
		Seen *int
	}
	if json.Unmarshal(line, &m) != nil || m.Op != "idle" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = l.sent
	if m.Seen != nil {
		l.seen = *m.Seen
	}
}

// await returns when the client is busy; false if it is gone.
func (l *lockstep) await() bool {
	for {
		l.mu.Lock()
		gone, idle, more := l.gone, l.seen == l.sent, l.more
		l.mu.Unlock()
		if gone || !idle {
			return !gone
		}
		<-more
	}
}

func (l *lockstep) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.more)
	l.more = make(chan struct{})
}

// Write sends one line, which is counted before the client can have seen it.
func (l *lockstep) Write(p []byte) (int, error) {
	l.change(func() { l.sent++ })
	return l.Conn.Write(p)
}

// Close wakes the reader.
func (l *lockstep) Close() error {
	err := l.Conn.Close()
	l.change(func() { l.gone = true })
	return err
}

// SetWriteDeadline does nothing: who waits for the client is Read.
func (l *lockstep) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*lockstep)(nil)
