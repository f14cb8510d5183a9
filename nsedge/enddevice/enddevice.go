// Package enddevice is a LoRaWAN device in software: the other end of the air,
// for the demo and for tests. It is a LoRaWAN 1.0.2 to 1.0.4 or 1.1 device of
// class A, B or C, activated by OTAA or ABP, attached to a station of the
// simulated medium. It may belong to multicast groups.
//
// A [Device] is used in one of two ways: [Device.Run] joins and then sends
// forever, or a test calls [Device.Join], [Device.Send], [Device.Rejoin] step by step. What
// happens is told to Config.Events: [Joining], [Joined], [Sent], [Received],
// [Rejected], and in class B [Beacon], [BeaconMissed] and [ClassChanged], with
// the exact instants of air time.
//
// Everything that must survive a restart is in a [State]: Config.Save is given
// each new one before a nonce or a counter in it is used on the air, and
// Config.State continues from one.
//
// Section numbers in comments are those of the LoRaWAN 1.0.4 specification
// (TS001-1.0.4), in version11.go those of LoRaWAN 1.1, and of RP002-1.0.3 where
// that is said. The receiver is ideal: it hears every frame that begins in its
// window. Relays are not implemented.
package enddevice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/classb"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// Errors that callers branch on; they are wrapped with figures.
var (
	ErrConfig      = errors.New("bad device configuration")
	ErrNotJoined   = errors.New("device has not joined")
	ErrNoAccept    = errors.New("no join-accept")
	ErrNoAck       = errors.New("no acknowledgement")
	ErrPayloadSize = errors.New("payload is too long for the data rate")
	ErrNoChannel   = errors.New("no enabled channel has the data rate")
	ErrNonces      = errors.New("all 65536 DevNonces are used up")
	ErrCounter     = errors.New("frame counter is used up")
)

// Config of a Device. What is not marked as needed has a sensible zero value.
type Config struct {
	Name    string         // of the station; "" is DevEUI
	DevEUI  radio.EUI64    // needed
	JoinEUI radio.EUI64    // AppEUI of LoRaWAN 1.0
	Region  *region.Region // needed
	Version string         // "1.0.2", "1.0.3", "1.0.4" (the zero value) or "1.1"; before 1.0.4 DevNonces look random
	AppKey  Key            // for OTAA
	NwkKey  Key            // for OTAA of LoRaWAN 1.1
	ABP     *Session       // activates the device by personalisation

	Station air.StationConfig // path loss or position
	Class   string            // "A" (the zero value), "B" or "C"
	Battery uint8             // for DevStatusAns: 0 external, 1-254, 255 unknown

	Periodicity int     // class B: a ping slot each 2^n s, about; 0 to 7
	CrystalPPM  float64 // class B: by how much the device's clock is fast, -20 to 20
	Groups      []Group // multicast groups, of the device's class

	DataRate    int           // to begin with; a data rate that no channel has is lowered or raised
	ADR         bool          // let the network decide data rate, power and repetitions
	Counter16   bool          // frame counters have 16 bits
	Retries     int           // of a confirmed uplink in all, if NbTrans is less; 0 means 8
	NoDutyCycle bool          // ignore the regulator (not DutyCycleReq); for tests
	Tolerance   time.Duration // frames that start further than this from the begin of RX1 or RX2 are not heard; 0 is a receiver that locks from two symbols early to three late

	// Run: what is sent. A nil Payload sends the number of the frame.
	Interval    time.Duration            // between uplinks; 0 means a minute
	Jitter      time.Duration            // each interval is longer by a random part of it
	Payload     func(uplink uint32) Data // called for each uplink, from 0
	RejoinAfter int                      // that many uplinks in a row that wanted an answer and had none, join; 0 is never
	RejoinEvery int                      // LoRaWAN 1.1: that many uplinks, send a rejoin-request of type 0, whatever the network says; 0 is never

	Defect Defect // "" is a device that does all right

	State  *State       // to continue from; nil begins anew
	Save   func(State)  // see package documentation; called from the device's goroutine
	Events func(Event)  // called from the device's goroutine
	Seed   uint64       // of channels, delays and random nonces, together with DevEUI
	Log    *slog.Logger // nil discards
}

// Data is what an application sends or is sent.
type Data struct {
	Port      uint8 // 1 to 223; 0 with a nil Payload is a frame without both
	Payload   []byte
	Confirmed bool
}

// Device is one LoRaWAN device.
type Device struct {
	cfg     Config
	m       *air.Medium
	station *air.Station
	log     *slog.Logger

	pauses *rand.Rand    // for Run
	turn   chan struct{} // holds a token that the goroutine which uses what follows has taken

	st       State
	region   *region.Region // with the dwell times of TXParamSetupReq
	all      []Channel      // of a fixed plan, by index; nil where channels are free
	rnd      *rand.Rand
	free     map[string]radio.Instant       // when a sub-band may be used again
	quiet    radio.Instant                  // when DutyCycleReq allows the next frame
	answers  []answer                       // to MAC commands, and own requests
	ack      bool                           // the next uplink acknowledges
	unheard  int                            // ADR_ACK_CNT
	unanswer int                            // uplinks in a row without a wanted answer
	forced   *lorawan.ForceRejoinReqPayload // to be obeyed after the uplink
	b        tracker                        // class B

	mu       sync.Mutex
	snapshot State
}

// New makes a device and its station. It transmits nothing yet.
func New(cfg Config, m *air.Medium) (*Device, error) {
	cfg.Version = cmp.Or(cfg.Version, "1.0.4")
	cfg.Class = cmp.Or(cfg.Class, "A")
	cfg.Name = cmp.Or(cfg.Name, cfg.DevEUI.String())
	cfg.Interval = cmp.Or(cfg.Interval, time.Minute)
	cfg.Retries = cmp.Or(cfg.Retries, 8)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Payload == nil {
		cfg.Payload = func(n uint32) Data {
			return Data{Port: 1, Payload: []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}}
		}
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.plant()
	seed := fnv.New64a()
	seed.Write(cfg.DevEUI[:])
	random := func(stream uint64) *rand.Rand {
		return rand.New(rand.NewPCG(cfg.Seed, stream)) //nolint:gosec // must be reproducible, makes no keys
	}
	d := &Device{
		cfg: cfg, m: m, region: cfg.Region, all: fixedChannels(cfg.Region),
		log:    cfg.Log.With("dev_eui", cfg.DevEUI.String()),
		turn:   make(chan struct{}, 1),
		rnd:    random(seed.Sum64()),
		pauses: random(^seed.Sum64()),
		free:   map[string]radio.Instant{},
	}
	d.start()
	if err := d.readRegion(); err != nil {
		return nil, err
	}
	d.snapshot = d.st.clone()
	where := cfg.Station
	where.Name = cfg.Name
	station, err := m.Join(where, nil)
	if err != nil {
		return nil, fmt.Errorf("device %v: %w", cfg.DevEUI, err)
	}
	d.station = station
	d.turn <- struct{}{}
	return d, nil
}

func (c *Config) check() error {
	bad := func(field string, value any, wanted string) error {
		return fmt.Errorf("%w: %s is %v: %s", ErrConfig, field, value, wanted)
	}
	switch {
	case c.Region == nil:
		return bad("Region", "nil", "look one up with region.Lookup")
	case !slices.Contains([]string{"1.0.2", "1.0.3", "1.0.4", version11}, c.Version):
		return bad("Version", c.Version, "1.0.2, 1.0.3, 1.0.4 or 1.1 is allowed")
	case c.Class != "A" && c.Class != "B" && c.Class != "C":
		return bad("Class", c.Class, "A, B or C is allowed")
	case c.Periodicity < 0 || c.Periodicity > classb.MaxPeriodicity:
		return bad("Periodicity", c.Periodicity, "0 to 7 is allowed")
	case !(math.Abs(c.CrystalPPM) <= crystal):
		return bad("CrystalPPM", c.CrystalPPM, "-20 to 20 is allowed")
	case c.DataRate < 0 || c.DataRate > 15:
		return bad("DataRate", c.DataRate, "0 to 15 is allowed")
	case c.Retries < 0 || c.Retries > 100:
		return bad("Retries", c.Retries, "0 to 100 is allowed")
	case c.Interval < 0 || c.Jitter < 0 || c.Tolerance < 0:
		return bad("Interval, Jitter or Tolerance", "negative", "0 or more is allowed")
	case c.Defect != "" && !slices.Contains(Defects(), c.Defect):
		return bad("Defect", c.Defect, "see Defects for those there are")
	case c.Station.Gateway != nil:
		return bad("Station.Gateway", c.Station.Gateway, "a device is no gateway, leave it nil")
	}
	return c.checkGroups(bad)
}

// start sets the first state.
func (d *Device) start() {
	if d.cfg.State != nil {
		d.st = d.cfg.State.clone()
		d.misremember()
	}
	if d.st.Joined {
		return
	}
	d.reset()
	if d.cfg.ABP != nil {
		d.st.Session, d.st.Joined = *d.cfg.ABP, true
		d.st.V11 = d.cfg.Version == version11
		d.st.Indicate = d.st.V11
	}
}

// Close takes the device's station out of the medium.
func (d *Device) Close() { d.station.Leave() }

// State returns the newest state. It may be called from any goroutine.
func (d *Device) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.snapshot.clone()
}

// save publishes the state: before what is new in it is used on the air.
func (d *Device) save() {
	s := d.st.clone()
	d.mu.Lock()
	d.snapshot = s
	d.mu.Unlock()
	if d.cfg.Save != nil {
		d.cfg.Save(s.clone())
	}
}

func (d *Device) emit(e Event) {
	if d.cfg.Events != nil {
		d.cfg.Events(e)
	}
}

// take waits for this goroutine's turn to use the device.
func (d *Device) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-d.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Device) release() { d.turn <- struct{}{} }

// Run joins unless there is a session, then sends every Interval until ctx
// ends, and returns ctx.Err(); or the reason why it can't go on. With a Jitter
// it begins after a random part of it. Send may be called meanwhile.
func (d *Device) Run(ctx context.Context) error {
	next := d.m.Now().Add(d.jitter())
	if err := d.m.Wait(ctx, next); err != nil {
		return err
	}
	for n := uint32(0); ; n++ {
		if !d.State().Joined {
			if err := d.Join(ctx); err != nil {
				return err
			}
		}
		if err := d.report(ctx, d.cfg.Payload(n)); err != nil {
			return err
		}
		next = max(next.Add(d.cfg.Interval+d.jitter()), d.m.Now())
		for d.m.Now() < next {
			urgent, err := d.idle(ctx, next)
			if err != nil {
				return err
			}
			if !urgent {
				break
			}
			if err := d.report(ctx, Data{}); err != nil {
				return err
			}
		}
	}
}

func (d *Device) jitter() time.Duration {
	if d.cfg.Jitter == 0 {
		return 0
	}
	return time.Duration(d.pauses.Int64N(int64(d.cfg.Jitter)))
}

// report sends data, then empty frames as long as the network has more or
// wants an acknowledgement (§4.3.1.4, §4.3.1.2). An error is a reason to stop.
func (d *Device) report(ctx context.Context, data Data) error {
	for range 16 { // a network that never ends is answered at the next uplink
		r, err := d.Send(ctx, data.Port, data.Payload, data.Confirmed)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrNoAck), errors.Is(err, ErrPayloadSize):
			d.log.Warn("uplink failed", "err", err)
		case err != nil:
			return err
		}
		if r.Downlink == nil || !r.Downlink.Pending && !r.Downlink.Confirmed {
			return nil
		}
		data = Data{}
		pause := time.Second + time.Duration(d.pauses.Int64N(int64(time.Second)))
		if err := d.Listen(ctx, d.m.Now().Add(pause)); err != nil {
			return err
		}
	}
	return nil
}
