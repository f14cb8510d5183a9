package backup

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// antenna is an ideal gateway in the simulated medium: an [nsedge.Air].
type antenna struct {
	m       *air.Medium
	station *air.Station
	zero    time.Time
	up      chan radio.Uplink
	reports chan radio.Report
}

var gateway = radio.EUI64{0, 0x16, 0xc0, 1, 0xf1, 0x50, 0, 1}

func newAntenna(t *testing.T, m *air.Medium) *antenna {
	a := &antenna{m: m, zero: time.Now().Add(-m.Elapsed()), up: make(chan radio.Uplink, 100), reports: make(chan radio.Report, 100)}
	var err error
	if a.station, err = m.Join(air.StationConfig{Gateway: &gateway}, a); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *antenna) Began(air.Reception) {}

func (a *antenna) Ended(r air.Reception) {
	if l, ok := r.Mod.(radio.LoRa); r.Outcome != air.Clear || ok && l.InvertIQ {
		return
	}
	a.up <- radio.Uplink{
		Gateway: gateway, Payload: r.Payload, CRC: radio.GoodCRC, At: r.End, Time: a.zero.Add(time.Duration(r.End) * time.Microsecond),
		Freq: r.Freq, Mod: r.Mod, RSSI: r.RSSI, SNR: r.SNR,
	}
}

func (a *antenna) Uplinks() <-chan radio.Uplink      { return a.up }
func (a *antenna) Reports() <-chan radio.Report      { return a.reports }
func (a *antenna) Lead(radio.Downlink) time.Duration { return 3 * time.Millisecond }

func (a *antenna) Schedule(_ context.Context, d radio.Downlink) error {
	if d.At.Sub(a.m.Now()) < 3*time.Millisecond || d.Replaces != 0 {
		return radio.ErrTooLate
	}
	tx, err := a.station.Transmit(air.Frame{Payload: d.Payload, Freq: d.Freq, Mod: d.Mod}, d.At, d.Power)
	if err != nil {
		return err
	}
	r := radio.Report{ID: d.ID, Planned: d.At, Armed: d.At - 3000, Started: tx.Start, Ended: tx.End, Power: d.Power}
	time.AfterFunc(tx.End.Sub(a.m.Now()), func() { a.reports <- r })
	return nil
}

func eui(id byte) radio.EUI64 { return radio.EUI64{1, 2, 3, 4, 5, 6, 7, id} }

// site is where gateways come and go, while the devices stay.
type site struct {
	*testing.T
	m      *air.Medium
	region *region.Region
	edge   *nsedge.Edge

	mu   sync.Mutex
	used map[string]int // counters and nonces that were on the air
}

// serve runs a gateway on a store until stop.
func (s *site) serve(st *store.Store) (stop func()) {
	s.Helper()
	a := newAntenna(s.T, s.m)
	ctx, cancel := context.WithCancel(s.Context())
	requests := make(chan *nsedge.DownlinkRequest, 100)
	var err error
	s.edge, err = nsedge.New(nsedge.Config{Region: s.region, NetID: [3]byte{0, 0, 1}, Gateway: gateway, Store: st, GPS: nsedge.HostGPS}, a, func(ev nsedge.Event) {
		switch ev := ev.(type) {
		case *nsedge.DownlinkRequest:
			requests <- ev
		case *nsedge.DownlinkEvent:
			if ev.Frame.MType == 3 || ev.Frame.MType == 5 {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.used[fmt.Sprintf("%v %d", ev.DevAddr, ev.Counter)]++
			}
		}
	})
	if err != nil {
		s.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = s.edge.Run(ctx) })
	running.Go(func() {
		for {
			select {
			case r := <-requests:
				if err := s.edge.Answer(ctx, nsedge.DownlinkResponse{PacketHash: r.PacketHash, Payload: []byte("ok")}); err != nil {
					s.Error(err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); running.Wait(); a.station.Leave() }
}

// device registers a device and makes it.
func (s *site) device(id byte, abp bool) *enddevice.Device {
	s.Helper()
	key := nsedge.Key{id, 9}
	cfg := enddevice.Config{DevEUI: eui(id), JoinEUI: radio.EUI64{7: 1}, Region: s.region, AppKey: enddevice.Key(key), NoDutyCycle: true, DataRate: 5}
	dev := nsedge.Device{DevEUI: eui(id), AppEUI: cfg.JoinEUI, Activation: nsedge.OTAA, Encryption: nsedge.KeysAtNS, AppKey: &key}
	cfg.Events = func(e enddevice.Event) {
		if j, ok := e.(enddevice.Joined); ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.used[fmt.Sprintf("%v JoinNonce %d", cfg.DevEUI, j.JoinNonce)]++
		}
	}
	if abp {
		cfg.ABP = &enddevice.Session{DevAddr: enddevice.DevAddr{2, 0, 0, id}, NwkSKey: enddevice.Key{1, id}, AppSKey: enddevice.Key{2, id}}
		dev.Activation, dev.DevAddr = nsedge.ABP, (*nsedge.DevAddr)(&cfg.ABP.DevAddr)
		dev.NwkSKey, dev.AppSKey, dev.AppKey = (*nsedge.Key)(&cfg.ABP.NwkSKey), (*nsedge.Key)(&cfg.ABP.AppSKey), nil
	}
	if err := s.edge.CreateDevice(s.Context(), dev); err != nil {
		s.Fatal(err)
	}
	d, err := enddevice.New(cfg, s.m)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(d.Close)
	return d
}

// talk wants an answer to each of n uplinks.
func (s *site) talk(d *enddevice.Device, n int) {
	s.Helper()
	for range n {
		r, err := d.Send(s.Context(), 1, []byte("x"), true)
		if err != nil || r.Downlink == nil || string(r.Downlink.Payload) != "ok" {
			s.Fatalf("%+v, %v", r, err)
		}
		time.Sleep(5 * time.Second)
	}
}

func (s *site) join(d *enddevice.Device) {
	s.Helper()
	if err := d.Join(s.Context()); err != nil {
		s.Fatal(err)
	}
	time.Sleep(5 * time.Second)
}

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	st, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// A box dies some time after its backup was made; another one goes on from
// the backup. The devices, which take a counter only once, hear it, and nothing was on the air twice.
func TestAnotherGatewayGoesOnFromABackup(t *testing.T) {
	oldDir, newDir := t.TempDir(), t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		reg, err := region.Lookup("EU868")
		if err != nil {
			t.Fatal(err)
		}
		s := &site{T: t, m: air.New(air.Config{}), region: reg, used: map[string]int{}}
		defer s.m.Close()
		old := openStore(t, oldDir)
		stop := s.serve(old)
		joined, personal, quiet, fresh := s.device(1, false), s.device(2, true), s.device(3, true), s.device(4, false)
		waits := s.device(5, false) // has joined, and not yet said anything
		s.join(joined)
		s.talk(joined, 3)
		s.talk(personal, 3)
		s.join(waits)

		var file bytes.Buffer
		if err := Write(t.Context(), &file, old, Info{Region: "EU868"}, nil, id.Recipient()); err != nil {
			t.Fatal(err)
		}

		for range 40 { // after the backup
			s.talk(joined, 1)
			s.talk(personal, 1)
			s.talk(quiet, 1)
			s.talk(waits, 1)
		}
		s.join(fresh)
		s.talk(fresh, 1)
		stop()
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}

		if err := store.Stage(newDir, store.Options{}, func(st *store.Store) error {
			_, err := Read(t.Context(), &file, id, st)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if done, err := store.Install(newDir, store.Options{}); !done || err != nil {
			t.Fatal(done, err)
		}
		for range 2 { // and again after a restart
			st := openStore(t, newDir)
			stop := s.serve(st)
			for _, d := range []*enddevice.Device{joined, personal, quiet, waits} {
				s.talk(d, 2)
			}
			s.join(fresh) // its session is not known, and its JoinNonce not used again
			s.talk(fresh, 2)
			s.join(joined)
			s.talk(joined, 2)
			stop()
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if len(s.used) < 180 {
			t.Errorf("%d downlinks: the test lost its sense", len(s.used))
		}
		for use, n := range s.used {
			if n > 1 {
				t.Errorf("%s was used %d times", use, n)
			}
		}
	})
}
