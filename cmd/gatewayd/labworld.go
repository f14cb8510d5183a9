package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/lab"
	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/dataapi/inproc"
	"gatewayd/nsedge"
	bench "gatewayd/nsedge/lab"
	"gatewayd/nsedge/store"
)

// labWorld is a gateway with a bench, for one case.
type labWorld struct {
	cfg     config.Config // what of it is about the radio counts; the simulated one's region, or a real concentrator
	seed    uint64
	virtual bool
	target  lab.Target
	air     net.Listener // where the device under test connects; nil: elsewhere
	log     *slog.Logger
	limit   time.Duration
	capture string // folder; "" is none
	loratap uint8  // version of its headers
	state   string // folder of what the network remembers; "" is a new one for each case
}

// simulated is the configuration of a simulated concentrator.
func simulated(region string) config.Config {
	cfg := config.Default()
	cfg.Concentrator.Driver, cfg.Region.Name = config.DriverEmulated, region
	return cfg
}

// play runs a case of a script in a new world.
func (w labWorld) play(ctx context.Context, script *lab.Script, name string) (res lab.CaseResult, err error) {
	if w.state == "" {
		if w.state, err = os.MkdirTemp("", "gatewayd-lab-"); err != nil {
			return res, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(w.state)) }()
	}
	if !w.virtual {
		return w.once(ctx, script, name)
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
		bubble := lab.Virtual(func() { p.res, p.err = w.once(context.Background(), script, name) })
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
func (w labWorld) once(ctx context.Context, script *lab.Script, name string) (res lab.CaseResult, err error) {
	var open closers
	defer func() { err = errors.Join(err, open.close()) }()
	p, err := w.parts(&open)
	if err != nil {
		return res, err
	}
	if w.air != nil {
		at := &plug{listener: w.air, medium: p.hardware.Medium, virtual: w.virtual, log: w.log}
		open.add(func() error { at.pull(); return nil })
		w.target.Start, w.target.Cycle = at.cycle, at.cycle
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
		stop, err := w.record(ctx, b, name, &open)
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
	d, err := newDaemon(w.cfg, p)
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
func (w labWorld) record(ctx context.Context, b *lab.Bench, name string, open *closers) (stop func() error, err error) {
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
	end, err := b.Record(f, w.loratap == 0)
	if err != nil {
		return nil, err
	}
	return func() error {
		if ctx.Err() != nil {
			return end() // too late to ask for keys
		}
		tables, err := b.Keys(ctx)
		if err == nil {
			err = writeKeys(filepath.Join(w.capture, filepath.Base(name)+".keys"), tables)
		}
		return errors.Join(end(), err)
	}, nil
}

// writeKeys makes a folder of Wireshark's tables of keys, for its owner alone.
func writeKeys(folder string, tables map[string]string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for name, text := range tables {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// virtualPoll is seldom: a case is hours long, and a millisecond of delay to
// the network server is no matter where the clock waits for it.
const virtualPoll = 50 * time.Millisecond

// labJournal is small, in bytes: making it is most of what a short case costs.
const labJournal = 64 << 10

// parts are those of a gateway.
func (w labWorld) parts(open *closers) (p parts, err error) {
	p = parts{log: w.log}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], w.seed)
	p.random = rand.NewChaCha8(seed) // nothing here is a secret
	if p.store, err = store.Open(w.state, store.Options{Log: w.log, JournalSize: labJournal}); err != nil {
		return p, err
	}
	open.add(p.store.Close)
	if !w.cfg.Emulated() {
		err = w.open(&p)
	} else {
		err = w.simulate(&p)
	}
	if err != nil {
		return p, err
	}
	open.add(p.hardware.Close)
	api := inproc.Listen()
	p.api, p.dial = api, api.Dial
	open.add(ignoreClosed(api))
	return p, nil
}

// open puts the real concentrator into the parts. A simulated chip behind a
// socket takes any firmware.
func (w labWorld) open(p *parts) (err error) {
	if p.conf, err = loadConf(&w.cfg); err != nil {
		return err
	}
	err = p.openRadio(w.cfg, w.log)
	if errors.Is(err, concentrator.ErrFirmware) && strings.HasPrefix(w.cfg.Concentrator.SPI, "unix:") {
		p.firmware = concentrator.EmulatedFirmware()
		p.hardware, err = openBoardOf(w.cfg, w.log)
	}
	return err
}

// simulate puts a simulated concentrator into the parts.
func (w labWorld) simulate(p *parts) (err error) {
	e := board.Emulation{Log: w.log, Seed: w.seed}
	if w.virtual {
		p.poll = virtualPoll
		e.Timing = &sx1302sim.Timing{Hz: 8_000_000, PerTransfer: 30 * time.Microsecond, Exact: true}
	}
	if w.target.Class() == "B" {
		p.sky = underSky(&e) // seconds of work for an hour, which other classes don't need
	}
	p.firmware = concentrator.EmulatedFirmware()
	p.hardware, _, err = board.Emulate(e)
	return err
}
