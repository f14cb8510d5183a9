package main

import (
	"context"
	"errors"
	"time"

	"gatewayd/concentrator"
)

// Pauses between attempts to start a concentrator that ran before. A chip
// that doesn't come back in restartLimit attempts in a row ends the daemon:
// whoever started that may know more.
const (
	firstRestart = time.Second
	lastRestart  = 30 * time.Second
	restartLimit = 20
	// stable is how long a run must last to count as a success.
	stable = time.Minute
)

// runConcentrator runs the driver, and restarts it when it fails. What fails
// before the chip has ever run is a matter of configuration or wiring and
// ends the daemon at once, with the driver's diagnosis; but not on an
// appliance, where nobody would read that.
func (d *daemon) runConcentrator(ctx context.Context) error {
	pause, failures := firstRestart, 0
	for {
		began := time.Now()
		err := d.conc.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("it stopped without a reason")
		}
		d.fault("concentrator", err)
		patient := d.parts.appliance != nil // whose page tells what is wrong
		if !patient && (d.conc.Stats().Starts == 0 || errors.Is(err, concentrator.ErrConfig)) {
			return err
		}
		if time.Since(began) >= stable {
			pause, failures = firstRestart, 0
		}
		if failures++; failures > restartLimit && !patient {
			return err
		}
		d.setDown(err)
		d.log.Error("concentrator failed, it is started again", "err", err, "in", pause, "attempt", failures, "of", restartLimit)
		d.pausing.Store(true)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		d.pausing.Store(false)
		pause = min(2*pause, lastRestart)
	}
}

func (d *daemon) setDown(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}
