package concentrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/radio/sx1250"
	"gatewayd/radio/sx1261"
)

// companionErrorBudget is how many jobs of the SX1261 may fail in a row
// before the chip is started anew, which patches the SX1261 again.
const companionErrorBudget = 3

// errPreempted ends a job whose radio is needed for something more urgent.
var errPreempted = errors.New("the SX1261 was needed for a transmission")

// companion is the SX1261, a radio on a chip select of its own. It belongs to
// Run. What it does is a job: commands, sent one at a time when the radio is
// ready for the next one, so that neither reception nor a transmission waits
// for it.
type companion struct {
	cfg  *SX1261
	bus  *companionBus
	log  *slog.Logger
	job  *job      // nil: nothing to do
	next time.Time // when its next command may be sent

	width   sx1261.Bandwidth // of the receive filter
	stopped bool             // neither receives nor scans
	watches *listening       // whose channel it watches; nil: nobody's
	errors  int              // jobs that failed in a row
}

// job is a list of commands. check judges the answer to each and may append
// more; done is told how it ended.
type job struct {
	ctx      context.Context // when it ends, so does the job; nil: never
	requests []sx1261.Request
	check    func(q sx1261.Request, answer []byte) error
	done     func(error)
}

// companionBus is the SX1261's chip select.
type companionBus struct {
	conn  spi.Conn
	count *bus // its frames are counted with those of the chip
}

// Command implements sx1261.Bus. A failed frame is repeated once: no command
// does harm twice.
func (b *companionBus) Command(op byte, args []byte) ([]byte, error) {
	w := append([]byte{op}, args...)
	r := make([]byte, len(w))
	err := b.transfer(w, r)
	if err != nil {
		b.count.retries.Add(1)
		err = b.transfer(w, r)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTransfer, err)
	}
	return r[1:], nil
}

func (b *companionBus) transfer(w, r []byte) error {
	err := b.conn.Tx(w, r)
	b.count.frames.Add(1)
	b.count.bytes.Add(uint64(len(w)))
	if err != nil {
		b.count.failures.Add(1)
	}
	return err
}

// connectCompanion connects to the SX1261's port, if there is one.
func connectCompanion(port spi.Port, hz int64, count *bus) (*companionBus, error) {
	if port == nil {
		return nil, nil
	}
	c, err := port.Connect(physic.Frequency(hz)*physic.Hertz, spi.Mode0, 8)
	if err != nil {
		return nil, fmt.Errorf("connect SX1261 %v: %w", port, err)
	}
	if l, ok := c.(conn.Limits); ok && l.MaxTxSize() > 0 && l.MaxTxSize() < sx1261.MinTransfer {
		return nil, fmt.Errorf("%v carries only %d bytes a transfer; the SX1261's patch needs %d", port, l.MaxTxSize(), sx1261.MinTransfer)
	}
	return &companionBus{conn: c, count: count}, nil
}

// newCompanion is the SX1261 of one run; nil where there is none.
func newCompanion(c *Concentrator) *companion {
	if c.sx1261 == nil {
		return nil
	}
	return &companion{cfg: &c.cfg.SX1261, bus: c.sx1261, log: c.cfg.Log}
}

// startCompanion is the step of the start that patches the SX1261 and sets it
// up; image calibration is for the band of radio A.
func (d *driver) startCompanion(ctx context.Context) error {
	r := sx1261.New(d.companion.bus)
	if err := r.Patch(ctx, d.cfg.Firmware.SX1261); err != nil {
		return err
	}
	args, err := sx1250.ImageArguments(d.cfg.Radios[0].Freq)
	if err != nil {
		return err
	}
	if err := r.CalibrateImage(ctx, args); err != nil {
		return err
	}
	if err := r.SetUp(ctx); err != nil {
		return err
	}
	d.companion.width, d.companion.stopped = sx1261.Width125, true
	d.companion.next = time.Now().Add(sx1261.Busy)
	return nil
}

// due is when the next command may be sent; false when there is none.
func (k *companion) due() (time.Time, bool) {
	if k == nil || k.job == nil {
		return time.Time{}, false
	}
	return k.next, true
}

// begin takes up a job in place of the present one.
func (k *companion) begin(j *job) {
	if k.watches != nil {
		*k.watches = listening{channel: k.watches.channel}
		k.watches = nil
	}
	if old := k.job; old != nil {
		k.job = nil
		old.done(errPreempted)
	}
	k.job = j
	if soon := time.Now().Add(sx1261.Busy); k.next.After(soon) {
		k.next = soon // what takes longer is a scan, which can be broken off
	}
}

// work sends the next command if its time has come. The error says that the
// SX1261 has failed for good; that of a single job goes to its done.
func (k *companion) work() error {
	at, ok := k.due()
	if !ok || time.Until(at) > 0 {
		return nil
	}
	j := k.job
	if j.ctx != nil && j.ctx.Err() != nil {
		k.job = nil
		j.done(context.Cause(j.ctx))
		return nil
	}
	q := j.requests[0]
	j.requests = j.requests[1:]
	answer, err := k.bus.Command(byte(q.Op), q.Args)
	k.next = time.Now().Add(q.Wait + sx1261.Busy)
	if err == nil && j.check != nil {
		err = j.check(q, answer)
	}
	if err == nil && q.Op == sx1261.GetStatus {
		k.errors = 0 // it was proven to be alive
	}
	switch {
	case err != nil:
		return k.failed(j, fmt.Errorf("%w: command 0x%02X: %w", ErrSX1261, byte(q.Op), err))
	case len(j.requests) > 0:
		return nil
	}
	k.job = nil
	j.done(nil)
	return nil
}

// failed ends a job, and the run when there are too many of them.
func (k *companion) failed(j *job, err error) error {
	k.job, k.stopped, k.width = nil, false, 0 // who knows what it does now
	j.done(err)
	if k.errors++; k.errors >= companionErrorBudget {
		return err
	}
	k.log.Warn("SX1261 failed", "err", err)
	return nil
}

// listen is the commands that tune the radio to a channel, ending with a look
// whether it receives; filter settings that it has already are left out.
func (k *companion) listen(ch LBTChannel) []sx1261.Request {
	var list []sx1261.Request
	if !k.stopped {
		list = sx1261.Stop()
	}
	k.stopped = false
	if w := ch.width(); w != k.width {
		list = append(list, sx1261.Measure(w)...)
		k.width = w
	}
	return append(append(list, sx1261.Tune(ch.Freq)...), sx1261.Status())
}

// rest stops the radio, unless it has something else to do already.
func (k *companion) rest() {
	if k.job == nil && !k.stopped {
		k.job = &job{requests: slices.Clone(sx1261.Stop()), done: func(err error) { k.stopped = err == nil }}
	}
}

// checkReceives judges the answers of listen.
func checkReceives(q sx1261.Request, answer []byte) error {
	if q.Op == sx1261.GetStatus {
		return sx1261.CheckReceiving(answer)
	}
	return nil
}
