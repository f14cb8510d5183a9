package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// supervisor is who started the daemon and wants to hear of it: systemd, or
// an init that speaks its notification protocol (sd_notify(3)).
type supervisor struct {
	notify func(state string) error
	every  time.Duration // it restarts a daemon that it doesn't hear of for so long; 0: it doesn't
}

// systemd is the supervisor that the environment names; nil if it names none.
// The variables stay, for a restart within the process.
func systemd() (*supervisor, error) {
	if sent, err := sd.SdNotify(false, "STATUS=starting"); err != nil || !sent {
		return nil, err
	}
	every, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("WATCHDOG_USEC, WATCHDOG_PID: %w", err)
	}
	return &supervisor{
		notify: func(state string) error { _, err := sd.SdNotify(false, state); return err },
		every:  every,
	}, nil
}

// tell tells the supervisor something, if there is one.
func (d *daemon) tell(state string) {
	if s := d.parts.supervisor; s != nil {
		if err := s.notify(state); err != nil {
			d.log.Warn("the supervisor can't be told", "err", err)
		}
	}
}

// feedWatchdog tells the supervisor that the daemon lives, as long as it
// does: as its goroutines get on with their work, not just this one. A
// concentrator that is broken and waits for its next start is no reason to be
// restarted; one whose driver hangs in a transfer is.
func (d *daemon) feedWatchdog(ctx context.Context) error {
	step := d.parts.supervisor.every / 3
	tick := time.NewTicker(step)
	defer tick.Stop()
	life := pulse{since: time.Now()}
	for well := true; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := d.alive(ctx, &life, step)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			well = true
			d.tell("WATCHDOG=1")
		default:
			if well {
				d.log.Error("the daemon hangs: its watchdog is not fed any more", "err", err)
				d.fault("watchdog", err)
			}
			well = false
			d.tell("STATUS=" + err.Error())
		}
	}
}

// pulse is the last sign of life of the driver.
type pulse struct {
	frames uint64
	since  time.Time
}

// alive tells, as an error, which part of the daemon doesn't get on with its
// work; each has the patience given.
func (d *daemon) alive(ctx context.Context, life *pulse, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s := d.conc.Stats()
	if now := s.Frames + s.Failures; now != life.frames || d.pausing.Load() {
		life.frames, life.since = now, time.Now()
	}
	if still := time.Since(life.since); still > patience*3/2 {
		return fmt.Errorf("the concentrator's driver has not touched its bus for %v", still.Round(time.Second))
	}
	d.mu.Lock()
	edge := d.edge
	d.mu.Unlock()
	if edge != nil {
		if _, err := edge.Duty(ctx); err != nil {
			return fmt.Errorf("the network server doesn't answer: %w", err)
		}
	}
	if d.parts.admin == nil {
		return nil
	}
	if err := answers(ctx, d.cfg.State.Dir); err != nil {
		return fmt.Errorf("the server doesn't answer: %w", err)
	}
	return nil
}

// answers asks the daemon's own server over its admin socket.
func answers(ctx context.Context, dir string) error {
	a, err := dialAdmin(ctx, dir)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gatewayd/healthz", nil)
	if err != nil {
		return errors.Join(err, a.close())
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return errors.Join(err, a.close())
	}
	resp.Body.Close()
	return a.close()
}
