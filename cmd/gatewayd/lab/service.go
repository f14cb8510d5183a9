package lab

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gatewayd/nsedge/lab"
	"gatewayd/radio"
	"gatewayd/radio/capture"
)

// Words implements dataapi.Laboratory.
func (*Bench) Words() map[string]string { return Verbs() }

// Wrong tells whether an error of [Bench.Call] says that the call was wrong,
// rather than that something did not come.
func Wrong(err error) bool { return errors.Is(err, ErrCall) }

// captureQueue is how many frames a capture may lag behind; what comes on top
// is lost to it.
const captureQueue = 1024

// tap is an observer whose reader may be slow.
type tap struct{ frames chan func(*capture.Capture) }

var _ lab.Observer = (*tap)(nil)

func (t *tap) put(f func(*capture.Capture)) {
	select {
	case t.frames <- f:
	default:
	}
}

// Heard implements lab.Observer.
func (t *tap) Heard(u radio.Uplink) { t.put(func(c *capture.Capture) { c.Heard(u) }) }

// Sent implements lab.Observer.
func (t *tap) Sent(d radio.Downlink, r radio.Report) {
	t.put(func(c *capture.Capture) { c.Sent(d, r) })
}

// Capture writes a pcapng file of everything on the air until ctx ends or a
// write fails.
func (b *Bench) Capture(ctx context.Context, w io.Writer, version0 bool) error {
	if err := b.begun(); err != nil {
		return err
	}
	t := &tap{make(chan func(*capture.Capture), captureQueue)}
	defer b.layer.Observe(t)() // before the header: who has that misses nothing
	c, err := capture.New(w, capture.Config{Gateway: b.gateway, Comment: "gatewayd", Version0: version0})
	if err != nil {
		return err
	}
	for {
		select {
		case write := <-t.frames:
			write(c)
			if err := c.Err(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// Record captures into w while a case runs; stop returns what went wrong. It
// writes at once: nothing may be lost.
func (b *Bench) Record(w io.Writer, version0 bool) (stop func() error, err error) {
	c, err := capture.New(w, capture.Config{Gateway: b.gateway, Comment: "gatewayd lab", Version0: version0})
	if err != nil {
		return nil, fmt.Errorf("record the case: %w", err)
	}
	end := b.layer.Observe(c)
	return func() error { end(); return c.Err() }, nil
}

// begun tells, as an error, that there is no network yet. What Begin gave to
// the bench may be read after it.
func (b *Bench) begun() error {
	if b.edge.Load() == nil {
		return fmt.Errorf("%w: the network server is starting", ErrCall)
	}
	return nil
}

// Listen gives every frame that any demodulator gives.
func (b *Bench) Listen() (frames <-chan any, stop func(), err error) {
	if err := b.begun(); err != nil {
		return nil, nil, err
	}
	in, end := b.layer.Listen()
	out := make(chan any, captureQueue)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case u := <-in:
				select {
				case out <- heard(u):
				default: // a slow reader loses the newest
				}
			case <-done:
				return
			}
		}
	}()
	return out, func() { end(); close(done) }, nil
}
