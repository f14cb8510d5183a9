// Package capture writes frames for Wireshark: pcapng files of link type
// LoRaTap (270), both directions, damaged frames included.
//
//	capture.go   a capture: frames in, a stream of bytes out
//	loratap.go   the header of each frame
//	pcapng.go    the blocks of the file
//
// Times are those of the first preamble symbol, by the concentrator's counter:
// differences are exact to the microsecond, whatever the host's clock does.
package capture

import (
	"fmt"
	"io"
	"sync"
	"time"

	"gatewayd/radio"
)

// Config of a Capture.
type Config struct {
	Gateway radio.EUI64
	Comment string // for who opens the file
	// Version0 writes LoRaTap version 0, which lacks direction, CRC state, gateway
	// and counter: Wireshark up to 4.0 takes version 1 for it and misreads the
	// frames.
	Version0 bool
}

// Capture writes frames to a stream. Its methods may be called from any
// goroutine; a write that fails ends it, see [Capture.Err].
type Capture struct {
	cfg Config

	mu     sync.Mutex
	w      io.Writer
	zero   time.Time // the host's time at instant 0
	known  bool
	err    error
	frames int
}

// New begins a capture of a gateway's frames.
func New(w io.Writer, cfg Config) (*Capture, error) {
	c := &Capture{w: w, cfg: cfg}
	if _, err := w.Write(append(sectionHeader(cfg.Comment), interfaceDescription(cfg.Gateway)...)); err != nil {
		return nil, fmt.Errorf("begin the capture: %w", err)
	}
	return c, nil
}

// Heard writes an uplink.
func (c *Capture) Heard(u radio.Uplink) {
	start := u.At.Add(-u.Mod.Airtime(len(u.Payload)))
	c.write(start, u.Time.Add(-u.At.Sub(start)), uplinkHeader(u), u.Payload, inbound)
}

// Sent writes a downlink that was on the air; others are left out.
func (c *Capture) Sent(d radio.Downlink, r radio.Report) {
	if r.Err == nil {
		c.write(r.Started, time.Now().Add(-d.Mod.Airtime(len(d.Payload))), downlinkHeader(d, r, c.cfg.Gateway), d.Payload, outbound)
	}
}

// write appends a frame. The first one pins the counter to the host's clock.
func (c *Capture) write(at radio.Instant, host time.Time, header, payload []byte, way uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if !c.known {
		c.zero, c.known = host.Add(-time.Duration(at)*time.Microsecond), true
	}
	block := enhancedPacket(c.zero.Add(time.Duration(at)*time.Microsecond), way, c.cfg.header(header), payload)
	if _, err := c.w.Write(block); err != nil {
		c.err = fmt.Errorf("write the capture: %w", err)
		return
	}
	c.frames++
}

func (c Config) header(h []byte) []byte {
	if !c.Version0 {
		return h
	}
	h = h[:headerSize0]
	h[0], h[3] = 0, headerSize0
	return h
}

// Err is why the capture ended; nil while it goes on.
func (c *Capture) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Frames is how many were written.
func (c *Capture) Frames() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames
}
