package flight_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/flight"
	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// rig is the driver on a simulated chip with a recorder between them, and a
// station that sends.
type rig struct {
	t        *testing.T
	conc     *concentrator.Concentrator
	chip     *sx1302sim.Chip
	recorder *flight.Recorder
	station  *air.Station
	medium   *air.Medium
	cancel   context.CancelFunc
	done     chan error
	sent     uint64
}

type deaf struct{}

func (deaf) Began(air.Reception) {}
func (deaf) Ended(air.Reception) {}

// newRig starts one inside a bubble of virtual time; size is the recorder's
// memory.
func newRig(t *testing.T, size int) *rig {
	t.Helper()
	hw, chip, err := board.Emulate(board.Emulation{Seed: 1, Start: 77_777_777, Timing: &sx1302sim.Timing{Hz: 8_000_000, PerTransfer: 30 * time.Microsecond, Exact: true}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, chip: chip, medium: hw.Medium, done: make(chan error, 1)}
	t.Cleanup(func() {
		if err := hw.Close(); err != nil {
			t.Error(err)
		}
	})
	r.recorder = flight.New(flight.Config{Size: size, Header: flight.Header{Program: "test", Board: "emulated", Radios: [2]string{"SX1250", "SX1250"}}})
	cfg := concentrator.Config{
		Firmware: concentrator.EmulatedFirmware(), SPIHz: 8_000_000,
		Reset: r.recorder.Reset(hw.Reset), HoldReset: r.recorder.Hold(hw.Hold),
	}
	cfg.Radios, _ = hw.Board.Radios("EU868")
	for i := range cfg.Radios {
		cfg.Radios[i].TXMin, cfg.Radios[i].TXMax = 863_000_000, 870_000_000
	}
	cfg.Radios[0].Freq, cfg.Radios[1].Freq = 867_500_000, 868_500_000
	for i, f := range []radio.Hertz{868_100_000, 868_300_000, 868_500_000} {
		cfg.Channels[i] = concentrator.Channel{Enable: true, Radio: 1, IF: f - cfg.Radios[1].Freq}
	}
	if r.conc, err = concentrator.New(r.recorder.Port(hw.Port), cfg); err != nil {
		t.Fatal(err)
	}
	if r.station, err = hw.Medium.Join(air.StationConfig{Name: "device"}, deaf{}); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	go func() { r.done <- r.conc.Run(ctx) }()
	select {
	case <-r.conc.Started():
	case err := <-r.done:
		t.Fatal(err)
	}
	return r
}

// exchange lets the station send a frame, and the gateway answer it.
func (r *rig) exchange(payload []byte) {
	r.t.Helper()
	mod := radio.LoRa{SF: 7, Bandwidth: 125_000, CodeRate: 1}
	at := radio.Instant(r.medium.Elapsed().Microseconds()).Add(10 * time.Millisecond)
	if _, err := r.station.Transmit(air.Frame{Freq: 868_100_000, Mod: mod, Payload: payload}, at, 14); err != nil {
		r.t.Fatal(err)
	}
	u := <-r.conc.Uplinks()
	r.recorder.Heard(u)
	mod.InvertIQ = true
	r.sent++
	if err := r.conc.Schedule(r.t.Context(), radio.Downlink{ID: r.sent, Payload: payload, At: u.At.Add(200 * time.Millisecond), Freq: 868_100_000, Mod: mod, Power: 14}); err != nil {
		r.t.Fatal(err)
	}
	if report := <-r.conc.Reports(); report.Err != nil {
		r.t.Fatal(report.Err)
	}
}

// read is what the recorder has.
func (r *rig) read() *flight.Recording {
	r.t.Helper()
	var file bytes.Buffer
	if err := r.recorder.Write(&file, "test"); err != nil {
		r.t.Fatal(err)
	}
	rec, err := flight.Read(&file)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

func (r *rig) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

// recorded runs f on a rig in virtual time and returns the recording.
func recorded(t *testing.T, size int, f func(r *rig)) (rec *flight.Recording) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, size)
		f(r)
		r.stop()
		rec = r.read()
	})
	return rec
}

// replayed plays a recording in virtual time, where both clocks are one.
func replayed(t *testing.T, rec *flight.Recording, drift time.Duration) (res flight.Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if res, err = flight.Replay(t.Context(), rec, drift); err != nil {
			t.Fatal(err)
		}
	})
	return res
}
