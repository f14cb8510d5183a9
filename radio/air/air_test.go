package air_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// ear is a Listener that keeps what it hears.
type ear struct {
	mu           sync.Mutex
	first, final []air.Reception
}

func (e *ear) Began(r air.Reception) { e.keep(&e.first, r) }
func (e *ear) Ended(r air.Reception) { e.keep(&e.final, r) }

func (e *ear) keep(list *[]air.Reception, r air.Reception) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*list = append(*list, r)
}

func (e *ear) began() []air.Reception { return e.copy(&e.first) }
func (e *ear) ended() []air.Reception { return e.copy(&e.final) }

func (e *ear) copy(list *[]air.Reception) []air.Reception {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(*list)
}

// outcome returns what became of a transmission at this ear.
func (e *ear) outcome(t *testing.T, id uint64) air.Reception {
	t.Helper()
	for _, r := range e.ended() {
		if r.ID == id {
			return r
		}
	}
	t.Fatalf("transmission %d was not heard", id)
	return air.Reception{}
}

func sf(n uint8) radio.LoRa { return radio.LoRa{SF: n, Bandwidth: 125_000} }

func inverted(m radio.LoRa) radio.LoRa {
	m.InvertIQ, m.NoCRC = true, true
	return m
}

func frame(m radio.Modulation) air.Frame {
	return air.Frame{Payload: []byte("twenty bytes of load"), Freq: 868_100_000, Mod: m}
}

var gatewayEUI = radio.EUI64{0, 0x16, 0xC0, 1, 0xF1, 0x50, 0, 1}

// sky is a medium with one gateway.
type sky struct {
	*air.Medium
	t       *testing.T
	gateway *air.Station
	ear     *ear
}

// under runs f in a bubble with a fresh medium.
func under(t *testing.T, cfg air.Config, f func(*sky)) {
	synctest.Test(t, func(t *testing.T) {
		s := &sky{Medium: air.New(cfg), t: t, ear: &ear{}}
		defer s.Close()
		s.gateway = s.join(air.StationConfig{Gateway: &gatewayEUI}, s.ear)
		f(s)
	})
}

func (s *sky) join(cfg air.StationConfig, l air.Listener) *air.Station {
	s.t.Helper()
	st, err := s.Join(cfg, l)
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *sky) send(st *air.Station, f air.Frame, at radio.Instant, p radio.DBm) air.Transmission {
	s.t.Helper()
	tr, err := st.Transmit(f, at, p)
	if err != nil {
		s.t.Fatal(err)
	}
	return tr
}

func sleep(d time.Duration) {
	time.Sleep(d) // virtual
	synctest.Wait()
}

// 56.576 ms: Semtech's LoRa calculator for SF7, 125 kHz, 20 bytes. Level:
// 14 dBm - 100 dB; noise: -174 + 10 log 125000 + 6 = -117.03 dBm.
func TestFrameArrivesWithExactTimesAndLevels(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		device := s.join(air.StationConfig{Name: "device"}, nil)
		tr := s.send(device, frame(sf(7)), 1_000_003, 14)
		if tr.Start != 1_000_003 || tr.End != 1_056_579 {
			t.Errorf("on the air %d to %d", tr.Start, tr.End)
		}
		sleep(1_000_003 * time.Microsecond)
		if len(s.ear.began()) != 1 || len(s.ear.ended()) != 0 {
			t.Fatalf("at the start %d began, %d ended", len(s.ear.began()), len(s.ear.ended()))
		}
		sleep(56_576*time.Microsecond - 1)
		if len(s.ear.ended()) != 0 {
			t.Fatal("ended a nanosecond early")
		}
		sleep(1)
		r := s.ear.outcome(t, tr.ID)
		if r.Outcome != air.Clear || r.RSSI != -86 || r.SNR < 31.0 || r.SNR > 31.1 || r.From != "device" {
			t.Errorf("reception %+v", r)
		}
		if !bytes.Equal(r.Payload, []byte("twenty bytes of load")) {
			t.Errorf("payload %q", r.Payload)
		}
	})
}

func TestWhoTransmitsHearsNothing(t *testing.T) {
	for _, full := range []bool{false, true} {
		under(t, air.Config{}, func(s *sky) {
			e := &ear{}
			eui := radio.EUI64{7}
			gw := s.join(air.StationConfig{Gateway: &eui, FullDuplex: full}, e)
			d := s.join(air.StationConfig{}, nil)
			up := s.send(d, frame(sf(7)), 1000, 14)
			down := frame(inverted(sf(7)))
			down.Freq = 869_525_000
			s.send(gw, down, 30_000, 14)
			sleep(time.Second)
			want := air.Lost
			if full {
				want = air.Clear
			}
			if got := e.outcome(t, up.ID).Outcome; got != want {
				t.Errorf("full duplex %v: %v", full, got)
			}
			if got := s.ear.outcome(t, up.ID).Outcome; got != air.Clear {
				t.Errorf("the other gateway: %v", got)
			}
		})
	}
}

func TestStartInThePast(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{}, nil)
		sleep(10*time.Second + 1) // a nanosecond after
		if _, err := d.Transmit(frame(sf(7)), 10_000_000, 14); !errors.Is(err, air.ErrPast) {
			t.Errorf("device: %v", err)
		}
		if tr := s.send(d, frame(sf(7)), air.Immediately, 14); tr.Start != 10_000_001 {
			t.Errorf("immediately: %d", tr.Start)
		}
		// A gateway's goroutine woke late: the frame was on time.
		w := air.Window{Freq: 868_100_000, Mod: inverted(sf(5)), From: 9_500_000, Until: 9_500_000}
		late := s.send(s.gateway, frame(inverted(sf(5))), 9_500_000, 14)
		r, err := d.Receive(s.t.Context(), w)
		if err != nil || r.ID != late.ID || r.Start != 9_500_000 {
			t.Errorf("late gateway: %+v, %v", r, err)
		}
		if _, err := s.gateway.Transmit(frame(sf(7)), 8_000_000, 14); !errors.Is(err, air.ErrPast) {
			t.Errorf("gateway two seconds late: %v", err)
		}
	})
}

func TestAbort(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{}, nil)
		future := s.send(d, frame(sf(7)), 500_000, 14)
		inHeader := s.send(d, frame(sf(7)), 1_000_000, 14)
		inPayload := s.send(d, frame(sf(7)), 2_000_000, 14)
		whole := s.send(d, frame(sf(7)), 3_000_000, 14)
		sleep(100 * time.Millisecond)
		d.Abort(future.ID)
		s.gateway.Abort(whole.ID) // not its own
		sleep(910 * time.Millisecond)
		d.Abort(inHeader.ID)
		synctest.Wait()
		if got := s.ear.outcome(t, inHeader.ID); got.Outcome != air.Lost || got.End != 1_010_000 {
			t.Errorf("in the header: %v at %d", got.Outcome, got.End)
		}
		sleep(1030 * time.Millisecond)
		d.Abort(inPayload.ID)
		sleep(2 * time.Second)
		d.Abort(whole.ID) // over
		if got := s.ear.outcome(t, inPayload.ID); got.Outcome != air.Corrupted || got.End != 2_040_000 || bytes.Equal(got.Payload, inPayload.Payload) {
			t.Errorf("in the payload: %+v", got)
		}
		if got := s.ear.outcome(t, whole.ID).Outcome; got != air.Clear {
			t.Errorf("whole: %v", got)
		}
		if len(s.ear.began()) != 3 {
			t.Errorf("%d transmissions were heard; the one aborted before its start too?", len(s.ear.began()))
		}
	})
}

func TestLeave(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{Name: "d"}, nil)
		if _, err := s.Join(air.StationConfig{Gateway: &gatewayEUI}, nil); !errors.Is(err, air.ErrGateway) {
			t.Errorf("second gateway: %v", err)
		}
		onAir := s.send(d, frame(sf(7)), 1000, 14)
		s.send(d, frame(sf(7)), 900_000, 14)
		errs := make(chan error)
		go func() {
			_, err := d.Receive(context.Background(), air.Window{Freq: 1, Mod: sf(7), Until: 1 << 40})
			errs <- err
		}()
		sleep(10 * time.Millisecond)
		d.Leave()
		d.Leave()
		if err := <-errs; !errors.Is(err, air.ErrLeft) {
			t.Errorf("window: %v", err)
		}
		if _, err := d.Transmit(frame(sf(7)), air.Immediately, 14); !errors.Is(err, air.ErrLeft) {
			t.Errorf("transmit: %v", err)
		}
		if _, err := d.Receive(s.t.Context(), air.Window{Freq: 1, Mod: sf(7)}); !errors.Is(err, air.ErrLeft) {
			t.Errorf("receive: %v", err)
		}
		sleep(time.Second)
		if len(s.ear.ended()) != 1 || s.ear.outcome(t, onAir.ID).Outcome != air.Clear {
			t.Errorf("heard %+v", s.ear.ended())
		}
		s.join(air.StationConfig{Name: "d"}, nil)
		s.Close()
		if _, err := s.Join(air.StationConfig{}, nil); !errors.Is(err, air.ErrLeft) {
			t.Errorf("join after Close: %v", err)
		}
	})
}

func TestFramesThatNobodyCanSendAreRefused(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{}, nil)
		for _, f := range []air.Frame{
			{Freq: 1, Mod: radio.LoRa{SF: 4, Bandwidth: 125_000}},
			{Freq: 1, Mod: radio.LoRa{SF: 13, Bandwidth: 125_000}},
			{Freq: 1, Mod: radio.LoRa{SF: 7, Bandwidth: 124_000}},
			{Freq: 1, Mod: radio.LoRa{SF: 7, Bandwidth: 125_000, CodeRate: 5}},
			{Freq: 1, Mod: radio.LoRa{SF: 12, Bandwidth: 125_000, Preamble: 60_000}},
			{Freq: 1, Mod: radio.FSK{}},
			{Freq: 1, Mod: radio.FSK{BitRate: 50_000, Deviation: -1}},
			{Freq: 1},
			{Mod: sf(7)},
			{Freq: 1, Mod: sf(7), Payload: make([]byte, 256)},
		} {
			if _, err := d.Transmit(f, air.Immediately, 14); !errors.Is(err, air.ErrFrame) {
				t.Errorf("%+v: %v", f, err)
			}
		}
		if _, err := d.Receive(s.t.Context(), air.Window{Freq: 1}); !errors.Is(err, air.ErrFrame) {
			t.Errorf("window without a modulation: %v", err)
		}
		if _, err := d.Receive(s.t.Context(), air.Window{Freq: 1, Mod: sf(7), From: 1}); err == nil {
			t.Error("window that ends before it begins: no error")
		}
	})
}

func TestObserverSeesEveryTransmission(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		seen := make(chan uint64, 10)
		stop := s.Observe(func(tr air.Transmission) { seen <- tr.ID })
		d := s.join(air.StationConfig{PathLoss: 300}, nil)
		s.send(d, frame(sf(7)), 1000, 14)
		s.send(s.gateway, frame(sf(7)), 500, 14)
		sleep(time.Second)
		stop()
		s.send(d, frame(sf(7)), air.Immediately, 14)
		sleep(time.Second)
		if a, b := <-seen, <-seen; a != 2 || b != 1 || len(seen) != 0 {
			t.Errorf("seen %d, %d and %d more", a, b, len(seen))
		}
		if len(s.ear.began()) != 0 {
			t.Error("a frame below all sensitivity was heard")
		}
	})
}
