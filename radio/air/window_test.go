package air_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// RX1 opens exactly one second after the end of the uplink.
func TestWindowTakesTheFrameThatStartsInIt(t *testing.T) {
	down := inverted(sf(7))
	private := down
	private.Sync = radio.PrivateSync
	long := down
	long.Preamble = 16
	tests := []struct {
		name  string
		mod   radio.Modulation
		want  radio.Modulation
		start radio.Instant // against From
		heard bool
	}{
		{"on time", down, down, 0, true},
		{"at the end", down, down, 100, true},
		{"too late", down, down, 101, false},
		{"two symbols early: six left", down, down, -2048, true},
		{"earlier", down, down, -2049, false},
		{"longer preamble", long, down, -2049, true},
		{"upright I/Q", sf(7), down, 0, false},
		{"other sync word", private, down, 0, false},
		{"other spreading factor", inverted(sf(8)), down, 0, false},
		{"FSK for LoRa", radio.FSK{BitRate: 50_000}, down, 0, false},
		{"LoRa for FSK", down, radio.FSK{BitRate: 50_000}, 0, false},
		{"FSK", radio.FSK{BitRate: 50_000}, radio.FSK{BitRate: 50_000}, 0, true},
		{"FSK three bytes early", radio.FSK{BitRate: 50_000}, radio.FSK{BitRate: 50_000}, -480, true},
		{"FSK earlier", radio.FSK{BitRate: 50_000}, radio.FSK{BitRate: 50_000}, -481, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			under(t, air.Config{}, func(s *sky) {
				d := s.join(air.StationConfig{}, nil)
				tr := s.send(s.gateway, frame(tt.mod), 1_000_000+tt.start, 14)
				r, err := d.Receive(s.t.Context(), air.Window{Freq: 868_100_000, Mod: tt.want, From: 1_000_000, Until: 1_000_100})
				if tt.heard && (err != nil || r.ID != tr.ID || r.Start != tr.Start || r.From != gatewayEUI.String()) {
					t.Errorf("got %+v, %v", r, err)
				}
				if !tt.heard && !errors.Is(err, air.ErrTimeout) {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		})
	}
}

func TestWindowsMayOverlapAndBeginInThePast(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{}, nil)
		down := inverted(sf(7))
		first := s.send(s.gateway, frame(down), 1000, 14)
		second := s.send(s.gateway, frame(down), 100_000, 14)
		sleep(time.Second) // both have ended
		w := air.Window{Freq: 868_100_000, Mod: down, From: 0, Until: 200_000}
		for range 2 {
			w.Until *= 10
			if r, err := d.Receive(s.t.Context(), w); err != nil || r.ID != first.ID {
				t.Errorf("first window: %+v, %v", r, err)
			}
		}
		if s.Now() != 1_000_000 {
			t.Errorf("what was there already took until %d", s.Now())
		}
		w.From, w.Until = 50_000, 200_000
		if r, err := d.Receive(s.t.Context(), w); err != nil || r.ID != second.ID {
			t.Errorf("second window: %+v, %v", r, err)
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		w.Until = 1 << 40
		w.From = 2_000_000
		if _, err := d.Receive(ctx, w); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestNobodyHearsItself(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{FullDuplex: true}, nil)
		s.send(d, frame(sf(7)), 1000, 14)
		r, err := d.Receive(s.t.Context(), air.Window{Freq: 868_100_000, Mod: sf(7), Until: 2000})
		if !errors.Is(err, air.ErrTimeout) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestHopelessFrameDoesntHoldAWindow(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{PathLoss: 160}, nil)
		s.send(s.gateway, frame(inverted(sf(12))), 1000, 14)
		_, err := d.Receive(s.t.Context(), air.Window{Freq: 868_100_000, Mod: inverted(sf(12)), Until: 2000})
		if now := s.Now(); !errors.Is(err, air.ErrTimeout) || now != 202_000 {
			t.Errorf("at %d: %v", now, err)
		}
	})
}

func TestWindowWaitsForAFrameThatIsOnTheAir(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d, other := s.join(air.StationConfig{}, nil), s.join(air.StationConfig{}, nil)
		long := inverted(sf(12)) // a second and a half
		tr := s.send(s.gateway, frame(long), 1000, 14)
		w := air.Window{Freq: 868_100_000, Mod: long, Until: 2000}
		r, err := d.Receive(s.t.Context(), w)
		if err != nil || r.ID != tr.ID || s.Now() != tr.End {
			t.Errorf("at %d: %+v, %v", s.Now(), r, err)
		}
		// One that is destroyed gives a timeout when it ends.
		at := s.Now() + 1000
		tr = s.send(s.gateway, frame(long), at, 14)
		s.send(other, frame(long), at+100_000, 27)
		_, err = d.Receive(s.t.Context(), air.Window{Freq: 868_100_000, Mod: long, From: at, Until: at + 1000})
		if !errors.Is(err, air.ErrTimeout) || s.Now() != tr.End {
			t.Errorf("at %d: %v", s.Now(), err)
		}
	})
}

func TestWait(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		if err := s.Wait(s.t.Context(), 123_456); err != nil || s.Elapsed() != 123_456*time.Microsecond {
			t.Errorf("woke at %v, %v", s.Elapsed(), err)
		}
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		if err := s.Wait(ctx, 1<<40); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
