package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/inproc"
	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/nsedge"
	bench "gatewayd/nsedge/lab"
	"gatewayd/nsedge/store"
)

// labWorld is a gateway with a bench, for one case.
type labWorld struct {
	region  string
	seed    uint64
	virtual bool
	target  lab.Target
	log     *slog.Logger
	limit   time.Duration
	capture string // folder; "" is none
}

// play runs a case of a script in a new world.
func (w labWorld) play(ctx context.Context, script *lab.Script, name string) (res lab.CaseResult, err error) {
	dir, err := os.MkdirTemp("", "gatewayd-lab-")
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if !w.virtual {
		return w.once(ctx, dir, script, name)
	}
	// Virtual time can't wait for anything outside: a case that is given up goes
	// on until the process ends.
	type played struct {
		res lab.CaseResult
		err error
	}
	done := make(chan played, 1)
	go func() {
		var p played
		bubble := lab.Virtual(func() { p.res, p.err = w.once(context.Background(), dir, script, name) })
		p.err = errors.Join(p.err, bubble)
		done <- p
	}()
	select {
	case p := <-done:
		return p.res, p.err
	case <-ctx.Done():
		return res, ctx.Err()
	}
}

// once runs a case here and now.
func (w labWorld) once(ctx context.Context, dir string, script *lab.Script, name string) (res lab.CaseResult, err error) {
	var open closers
	defer func() { err = errors.Join(err, open.close()) }()
	cfg := config.Default()
	cfg.Concentrator.Driver, cfg.Region.Name = config.DriverEmulated, w.region
	p, err := w.parts(dir, &open)
	if err != nil {
		return res, err
	}
	b := lab.New(lab.Config{Target: w.target, Seed: w.seed})
	p.tell = b.Publish
	p.lab = func(air nsedge.Air) *bench.Layer {
		layer := bench.New(bench.Config{Air: air, Observers: []bench.Observer{b}, Log: w.log})
		b.Attach(layer)
		return layer
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.limit, fmt.Errorf("the case did not end within %v", w.limit))
	defer cancel()
	done := make(chan struct{})
	p.also = append(p.also, func(ctx context.Context, d *daemon) error {
		b.Begin(d.gateway, d.edge, d.region, d.parts.hardware.Medium)
		stop, err := w.record(b, name, &open)
		if err != nil {
			return err
		}
		res = script.Run(ctx, b, name)
		b.Close()
		if err := stop(); err != nil {
			return err
		}
		close(done)
		cancel()
		return nil
	})
	d, err := newDaemon(cfg, p)
	if err != nil {
		return res, err
	}
	defer d.holdOnPanic()
	if err := d.Run(ctx); err != nil {
		return res, err
	}
	select {
	case <-done:
		return res, nil
	default:
		return res, errors.New("the gateway ended before the case did")
	}
}

// record captures the case, if that is wanted.
func (w labWorld) record(b *lab.Bench, name string, open *closers) (stop func() error, err error) {
	if w.capture == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(w.capture, 0o750); err != nil {
		return nil, fmt.Errorf("--capture: %w", err)
	}
	f, err := os.Create(filepath.Join(w.capture, filepath.Base(name)+".pcapng"))
	if err != nil {
		return nil, fmt.Errorf("--capture: %w", err)
	}
	open.add(f.Close)
	return b.Record(f)
}

// virtualPoll is seldom: a case is hours long, and a millisecond of delay to
// the network server is no matter where the clock waits for it.
const virtualPoll = 20 * time.Millisecond

// parts are those of a gateway on a simulated radio, with its state in dir.
func (w labWorld) parts(dir string, open *closers) (p parts, err error) {
	p = parts{log: w.log, firmware: concentrator.EmulatedFirmware()}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], w.seed)
	p.random = rand.NewChaCha8(seed) // nothing here is a secret
	if p.store, err = store.Open(dir, store.Options{Log: w.log}); err != nil {
		return p, err
	}
	open.add(p.store.Close)
	e := board.Emulation{Log: w.log, Seed: w.seed}
	if w.virtual {
		p.poll = virtualPoll
		e.Timing = &sx1302sim.Timing{Hz: 8_000_000, PerTransfer: 30 * time.Microsecond, Exact: true}
	}
	if w.target.Class() == "B" {
		p.sky = underSky(&e) // seconds of work for an hour, which other classes don't need
	}
	if p.hardware, _, err = board.Emulate(e); err != nil {
		return p, err
	}
	open.add(p.hardware.Close)
	api := inproc.Listen()
	p.api, p.dial = api, api.Dial
	open.add(ignoreClosed(api))
	return p, nil
}
