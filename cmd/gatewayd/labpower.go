package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/radio/air"
)

// plugPatience is how long, in real time, a device may take to connect.
const plugPatience = time.Minute

// plug is the power switch of a device that is a client of the air protocol:
// off, it is cut off; on, it may connect again.
type plug struct {
	listener net.Listener
	medium   *air.Medium
	virtual  bool
	log      *slog.Logger

	off  context.CancelFunc // nil: it is off
	gone sync.WaitGroup
}

// cycle switches the device off and on. It returns when the device is there.
func (p *plug) cycle(ctx context.Context) error {
	p.pull()
	conn, err := p.accept(ctx)
	if err != nil {
		return fmt.Errorf("no device has connected to the air at %v within %v: is its program running, and does it connect again when the connection is closed? %w", p.listener.Addr(), plugPatience, err)
	}
	if p.virtual {
		conn = air.Lockstep(conn)
	}
	on, off := context.WithCancel(context.WithoutCancel(ctx))
	p.off = off
	p.gone.Go(func() { air.ServeClient(on, conn, p.medium, p.log) })
	return nil
}

func (p *plug) accept(ctx context.Context) (net.Conn, error) {
	l, ok := p.listener.(interface{ SetDeadline(at time.Time) error })
	if !ok {
		return nil, errors.ErrUnsupported
	}
	// Deadlines of sockets keep to real time, in a bubble of virtual time, too.
	if err := l.SetDeadline(time.Now().Add(plugPatience)); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Unix(1, 0)) })()
	return p.listener.Accept()
}

// pull switches the device off.
func (p *plug) pull() {
	if p.off != nil {
		p.off()
		p.gone.Wait()
		p.off = nil
	}
}

// power adds to a target how a device at a real concentrator is switched on:
// by a command, or by somebody who is told to.
func power(t *lab.Target, command []string, tell io.Writer) {
	if len(command) == 0 {
		t.Start = func(context.Context) error {
			_, err := fmt.Fprintln(tell, "Switch the device off and on now.")
			return err
		}
		return
	}
	t.Cycle = func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput() //nolint:gosec // it is the user's own
		if err != nil {
			return fmt.Errorf("--power-cycle %q: %w: %s", strings.Join(command, " "), err, out)
		}
		return nil
	}
	t.Start = t.Cycle
}
