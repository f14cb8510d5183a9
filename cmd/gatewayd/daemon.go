package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/certs"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/flight"
	cmdlab "gatewayd/cmd/gatewayd/lab"
	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/concentrator/halconf"
	"gatewayd/dataapi"
	"gatewayd/nsedge"
	"gatewayd/nsedge/lab"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// parts are what a daemon is made of besides its configuration. The command
// run makes them of the real world, the demo and the tests of what they like.
type parts struct {
	hardware  *board.Hardware
	appliance dataapi.Appliance // nil: gatewayd is not alone on the machine
	firmware  concentrator.Firmware
	conf      *halconf.Conf // nil: radios and channels are the board's and the region's
	store     *store.Store

	api   net.Listener // the Data API
	cert  certs.Source // of api; nil: plain HTTP
	admin net.Listener // nil: no admin socket
	air   net.Listener // nil: the simulated medium is not served

	supervisor *supervisor // nil: nobody

	tell    func(nsedge.Event)                           // told of each event, beside the Data API; nil: nobody
	poll    time.Duration                                // between looks at the receive buffer; 0: the driver's own choice
	random  io.Reader                                    // of the network server; nil: crypto/rand
	lab     func(nsedge.Air) *lab.Layer                  // puts a laboratory's layer between network server and radio; nil: none
	markers cmdlab.Lines                                 // GPIO lines of markers; nil: none
	also    []func(ctx context.Context, d *daemon) error // run beside the rest once the edge is there
	log     *slog.Logger

	recordings string // folder of the files of faults; "": none are written

	ring *logRing          // what log remembers; nil: newDaemon makes one
	file string            // of the configuration, "" for none
	end  func(error) error // ends the daemon for a reason; nil: nobody may
	// sky opens the line of a simulated satellite receiver; nil: there is none.
	sky func(context.Context) (gnss.Line, error)

	// dial is how a part of this process reaches the Data API; nil: by TCP.
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// daemon is one wired gateway: driver, network server and Data API.
type daemon struct {
	cfg    config.Config
	parts  parts
	region *region.Region
	conc   *concentrator.Concentrator
	radio  concentrator.Config // what conc was made with
	gnss   *gnss.Receiver      // nil: none
	server *dataapi.Server
	log    *slog.Logger

	recorder *flight.Recorder // nil: off
	faults   *flight.Files    // nil: none

	mu      sync.Mutex
	edge    *nsedge.Edge // nil until the chip has told its EUI
	gateway radio.EUI64  // valid where there is an edge
	down    error        // why the concentrator last failed

	pausing atomic.Bool // the concentrator waits to be started again
}

// newDaemon wires the parts. It starts nothing and closes nothing: the parts
// belong to the caller.
func newDaemon(cfg config.Config, p parts) (*daemon, error) {
	if p.ring == nil {
		p.log, p.ring = withRing(p.log)
	}
	d := &daemon{cfg: cfg, parts: p, log: p.log, down: errors.New("it has not started yet")}
	var err error
	if d.region, err = cfg.Region.Lookup(); err != nil {
		return nil, err
	}
	rc, err := radioConfig(p.hardware, d.region, p.conf)
	if err != nil {
		return nil, err
	}
	rc.Firmware, rc.Log, rc.Poll = p.firmware, p.log, p.poll
	d.remarks(&rc)
	d.timeSources(&rc, p.hardware.Board)
	if err := d.listenBeforeTalk(&rc, p.hardware); err != nil {
		return nil, err
	}
	port := d.record(&rc)
	d.radio = rc
	if d.conc, err = concentrator.New(port, rc); err != nil {
		return nil, err
	}
	bench := d.laboratory()
	d.server, err = dataapi.New(dataapi.Config{
		Network: cfg.Network.ID, Documents: p.store, Position: d.position, Ready: d.ready, Log: p.log,
		Bands: bands(), BandNamed: bandNamed, Gateways: d.gateways, Origins: cfg.DataAPI.OriginList(),
		Lab: bench, Observer: d.observer(), Machine: newMachine(d), TLS: d.tlsInfo, Backups: backups{cfg, p.store, d.eui}, Appliance: p.appliance,
		HistoryBytes: cfg.DataAPI.HistorySize << 20, HistoryFile: cfg.DataAPI.HistoryFile,
		MaxRequests: cfg.DataAPI.MaxRequests, MaxConnections: cfg.DataAPI.MaxConnections, MaxMessage: cfg.DataAPI.MaxMessage, MaxRate: cfg.DataAPI.MaxRate,
	})
	if err != nil {
		return nil, fmt.Errorf("data api: %w", err)
	}
	d.classBMetrics(d.server.Metrics())
	d.server.Metrics().MustRegister(newChipCollector(d.conc.Stats))
	return d, nil
}

// remarks warns of what a packet forwarder's file, or the board, leaves open.
func (d *daemon) remarks(rc *concentrator.Config) {
	if d.parts.conf == nil {
		if b := d.parts.hardware.Board; !d.cfg.Emulated() && !known(b, d.region.Short()) {
			d.log.Warn("the board's gain table was not measured for this region: powers may be off; a board file with a [[band]] for it helps", "board", b.Name, "region", d.region.Short())
		}
		return
	}
	if keys := d.parts.conf.Ignored; len(keys) > 0 {
		d.log.Warn("keys of sx130x_conf that mean nothing here", "keys", strings.Join(keys, " "))
	}
	if missing := heardNowhere(rc, d.region.Plan()); len(missing) > 0 {
		d.log.Warn("no receive channel of sx130x_conf is on these channels of the region", "hertz", missing, "region", d.region.Short())
	}
}

// antennaGain is the configured one, else that of a packet forwarder's file.
func (d *daemon) antennaGain() radio.DB {
	if g := d.cfg.Gateway.AntennaGain; g != 0 || d.parts.conf == nil {
		return radio.DB(g)
	}
	return d.parts.conf.AntennaGain
}

// Run serves until ctx ends (then nil) or something fails for good. On
// return, and on a panic, the chip is in reset.
func (d *daemon) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	start := func(name string, run func(context.Context) error) {
		group.Go(func() error {
			defer d.holdOnPanic()
			if err := run(ctx); err != nil && !ended(ctx, err) {
				return fmt.Errorf("%s: %w", name, err)
			}
			if ctx.Err() == nil {
				return fmt.Errorf("%s: ended by itself", name)
			}
			return nil
		})
	}
	start("concentrator", d.runConcentrator)
	start("data api", d.server.Run)
	start("data api", func(ctx context.Context) error { return d.server.Serve(ctx, d.parts.api) })
	start("network server", d.runEdge)
	start("time", d.watchTime)
	if s := d.parts.supervisor; s != nil && s.every > 0 {
		start("watchdog", d.feedWatchdog)
	}
	if d.gnss != nil {
		start("satellite receiver", d.gnss.Run)
	}
	if d.parts.admin != nil {
		start("admin socket", func(ctx context.Context) error { return serveAdmin(ctx, d.parts.admin, d.server.LocalHandler()) })
	}
	if d.parts.air != nil {
		start("air", func(ctx context.Context) error {
			return air.Serve(ctx, d.parts.air, d.parts.hardware.Medium, d.log)
		})
	}
	return group.Wait()
}

// ended tells whether err only says that ctx is over.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed))
}

// holdOnPanic leaves the chip in reset before a panic takes the process down:
// a concentrator that goes on by itself may go on transmitting.
func (d *daemon) holdOnPanic() {
	if r := recover(); r != nil {
		if hold := d.parts.hardware.Hold; hold != nil {
			_ = hold() // there is nobody left to tell
		}
		d.fault("panic", fmt.Errorf("%v", r))
		panic(r)
	}
}

// runEdge waits for the chip, whose EUI is the gateway's, then runs the
// network server and everything that needs it.
func (d *daemon) runEdge(ctx context.Context) error {
	select {
	case <-d.conc.Started():
	case <-ctx.Done():
		return ctx.Err()
	}
	group, ctx := errgroup.WithContext(ctx)
	var through nsedge.Air = d.conc
	eui := d.conc.EUI()
	if own := d.cfg.GatewayEUI(); own != nil {
		eui = *own
		other := rename(d.conc, eui)
		through = other
		group.Go(func() error { defer d.holdOnPanic(); return other.Run(ctx) })
	}
	if d.parts.lab != nil {
		layer := d.parts.lab(through)
		through = layer
		group.Go(func() error { defer d.holdOnPanic(); return layer.Run(ctx) })
	}
	edge, err := nsedge.New(nsedge.Config{
		Region: d.region, NetID: d.cfg.NetID(), Random: d.parts.random, Gateway: eui, Store: d.parts.store, Log: d.log, GPS: d.gps, Heard: d.heard,
		Clock: gpsClock{d.conc}, ClassB: nsedge.ClassBMode(d.cfg.Network.ClassB), BeaconFreq: radio.Hertz(d.cfg.Network.BeaconFreq), Position: d.beaconPosition,
		AntennaGain:     d.antennaGain(),
		IgnoreDutyCycle: !d.cfg.Region.DutyCycle,
	}, through, d.publish)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.edge, d.gateway = edge, eui
	d.mu.Unlock()
	d.server.SetEdge(edge)
	d.log.Info("ready", d.readyFields(eui)...)
	d.tell("READY=1\nSTATUS=gateway " + eui.String() + ", " + d.region.Short())

	group.Go(func() error { defer d.holdOnPanic(); return edge.Run(ctx) })
	for _, also := range d.parts.also {
		group.Go(func() error { defer d.holdOnPanic(); return also(ctx, d) })
	}
	return group.Wait()
}

func (d *daemon) publish(e nsedge.Event) {
	d.server.Publish(e)
	d.recorder.Event(e)
	if d.parts.tell != nil {
		d.parts.tell(e)
	}
}

func (d *daemon) readyFields(eui radio.EUI64) []any {
	fields := []any{"gateway", eui, "region", d.region.Short(), "data_api", d.dataURL(), "version", version}
	if l := d.parts.air; l != nil {
		fields = append(fields, "air", l.Addr())
	}
	return fields
}

// dataURL is where an application server connects, without a token.
func (d *daemon) dataURL() string {
	scheme := "ws"
	if d.parts.cert != nil {
		scheme = "wss"
	}
	return fmt.Sprintf("%s://%s/api/v1.0/data", scheme, d.parts.api.Addr())
}

// position is where the gateway stands: as configured, else as the satellite
// receiver says; there is only one.
func (d *daemon) position(radio.EUI64) (dataapi.Position, bool) {
	g := d.cfg.Gateway
	if g.Latitude == 0 && g.Longitude == 0 && d.gnss != nil {
		if p := d.gnss.Status().Position; p != nil {
			return dataapi.Position{Lat: p.Latitude, Lng: p.Longitude, Altitude: int(p.Altitude)}, true
		}
	}
	return dataapi.Position{Lat: g.Latitude, Lng: g.Longitude, Altitude: g.Altitude}, g.Latitude != 0 || g.Longitude != 0
}

// ready says why the gateway can't do its job; nil if it can.
func (d *daemon) ready(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, running := d.conc.Now(); !running {
		return fmt.Errorf("the concentrator doesn't run: %w", d.down)
	}
	if d.edge == nil {
		return errors.New("the network server is starting")
	}
	return nil
}
