package concentrator

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/spi"
)

// Connections that carry several frames at the price of one, as a USB card
// does, say so by a method Groups. There the frames of a series of writes are
// collected and travel together.
const (
	groupLimit = 32 // frames that are collected at most
	// groupShare is how many frames travel together at the least, on average
	// over a transmission.
	groupShare = 4

	// An exchange with a USB card takes one or two of USB's milliseconds.
	groupOverheadGuess = 1500 * time.Microsecond
	groupOverheadMax   = 5 * time.Millisecond
)

func groups(c spi.Conn) bool {
	g, ok := c.(interface{ Groups() bool })
	return ok && g.Groups()
}

// together lets frames that f writes travel together where the connection is
// able to. An error may come late: then it is not known which frames arrived.
func (b *bus) together(f func() error) error {
	if !b.grouping || b.collecting {
		return f()
	}
	b.collecting = true
	err := f()
	b.collecting = false
	if err != nil {
		b.group = b.group[:0]
		return err
	}
	return b.send()
}

// collect keeps the first n bytes of b.tx as a frame of the group.
func (b *bus) collect(n int) error {
	b.group = append(b.group, spi.Packet{W: append([]byte(nil), b.tx[:n]...)})
	if len(b.group) < groupLimit {
		return nil
	}
	return b.send()
}

// send carries the group, and a second time if that fails: writes do no harm twice.
func (b *bus) send() error {
	if len(b.group) == 0 {
		return nil
	}
	n := 0
	for _, p := range b.group {
		n += len(p.W)
	}
	err := b.exchange(len(b.group), n, func() error { return b.conn.TxPackets(b.group) })
	if err != nil {
		b.retries.Add(1)
		err = b.exchange(len(b.group), n, func() error { return b.conn.TxPackets(b.group) })
	}
	frames := len(b.group)
	b.group = b.group[:0]
	if err != nil {
		return fmt.Errorf("write %d bytes in %d frames: %w", n, frames, err)
	}
	return nil
}
