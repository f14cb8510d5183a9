package air_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// The floors are those of the SX1261/2 data sheet.
func TestDemodulationEndsAtTheFloorOfEachSpreadingFactor(t *testing.T) {
	floors := map[uint8]radio.DB{5: -2.5, 6: -5, 7: -7.5, 8: -10, 9: -12.5, 10: -15, 11: -17.5, 12: -20}
	for n, floor := range floors {
		for _, bw := range []radio.Hertz{125_000, 500_000} {
			t.Run(fmt.Sprintf("SF%dBW%d", n, bw/1000), func(t *testing.T) {
				under(t, air.Config{}, func(s *sky) {
					noise := radio.DBm(-117.03)
					if bw == 500_000 {
						noise = -111.01
					}
					d := s.join(air.StationConfig{PathLoss: 130}, nil)
					mod := radio.LoRa{SF: n, Bandwidth: bw}
					above := s.send(d, frame(mod), 0, noise+radio.DBm(floor)+130.1)
					sleep(5 * time.Second)
					below := s.send(d, frame(mod), air.Immediately, noise+radio.DBm(floor)+129.9)
					sleep(5 * time.Second)
					if o := s.ear.outcome(t, above.ID).Outcome; o != air.Clear {
						t.Errorf("0.1 dB above the floor: %v", o)
					}
					if n == 12 { // hopeless: the listener isn't even told
						if len(s.ear.ended()) != 1 {
							t.Errorf("told of a frame below -20 dB")
						}
					} else if o := s.ear.outcome(t, below.ID).Outcome; o != air.Lost {
						t.Errorf("0.1 dB below the floor: %v", o)
					}
				})
			})
		}
	}
}

// Between frames alike the stronger one by 6 dB survives, others are
// orthogonal. SF7, 20 bytes: preamble ends after 8.192 ms, sync word after
// 12.544 ms, header after 20.736 ms, frame after 56.576 ms.
func TestCollisions(t *testing.T) {
	slow := radio.LoRa{SF: 7, Bandwidth: 125_000, Sync: radio.PrivateSync}
	tests := []struct {
		name         string
		after        radio.Instant // start of the second frame after the first's
		mod          radio.Modulation
		offset       radio.Hertz
		p1, p2       radio.DBm
		first, other air.Outcome
	}{
		{"equal, together", 0, sf(7), 0, 14, 14, air.Lost, air.Lost},
		{"equal, header hit", 20_000, sf(7), 0, 14, 14, air.Lost, air.Lost},
		{"equal, payload hit", 20_736, sf(7), 0, 14, 14, air.Corrupted, air.Lost},
		{"equal, last microsecond of the first, early preamble of the second", 56_575, sf(7), 0, 14, 14, air.Corrupted, air.Clear},
		{"equal, back to back", 56_576, sf(7), 0, 14, 14, air.Clear, air.Clear},
		{"second loses its first three preamble symbols", 56_576 - 3*1024, sf(7), 0, 14, 14, air.Corrupted, air.Clear},
		{"second loses a little more", 56_576 - 3*1024 - 1, sf(7), 0, 14, 14, air.Corrupted, air.Lost},
		{"first stronger by 6 dB", 30_000, sf(7), 0, 14, 8, air.Clear, air.Lost},
		{"first stronger by 5.9 dB", 30_000, sf(7), 0, 14, 8.1, air.Corrupted, air.Lost},
		{"second stronger by 6 dB", 30_000, sf(7), 0, 8, 14, air.Corrupted, air.Clear},
		{"other sync word collides all the same", 0, slow, 0, 14, 14, air.Lost, air.Lost},
		{"other spreading factor", 0, sf(8), 0, 14, 14, air.Clear, air.Clear},
		{"other spreading factor, 8 dB stronger", 0, sf(8), 0, 6, 14, air.Clear, air.Clear},
		{"other spreading factor, 8.1 dB stronger", 0, sf(8), 0, 5.9, 14, air.Lost, air.Clear},
		{"inverted", 0, inverted(sf(7)), 0, 14, 14, air.Clear, air.Clear},
		{"next channel", 0, sf(7), 200_000, -20, 27, air.Clear, air.Clear},
		{"half a channel away: orthogonal, half of the power", 0, sf(7), 62_500, 14, 24, air.Clear, air.Clear},
		{"half a channel away, 11.1 dB stronger", 0, sf(7), 62_500, 14, 25.1, air.Lost, air.Clear},
		{"wide", 0, radio.LoRa{SF: 7, Bandwidth: 500_000}, 0, 14, 14, air.Clear, air.Clear},
		{"FSK", 0, radio.FSK{BitRate: 50_000}, 0, 14, 14, air.Clear, air.Lost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			under(t, air.Config{}, func(s *sky) {
				a, b := s.join(air.StationConfig{}, nil), s.join(air.StationConfig{}, nil)
				first := s.send(a, frame(sf(7)), 1000, tt.p1)
				f := frame(tt.mod)
				f.Freq += tt.offset
				second := s.send(b, f, 1000+tt.after, tt.p2)
				sleep(time.Second)
				if got := s.ear.outcome(t, first.ID); got.Outcome != tt.first {
					t.Errorf("first %v, want %v", got.Outcome, tt.first)
				} else if bytes.Equal(got.Payload, first.Payload) == (got.Outcome == air.Corrupted) {
					t.Errorf("first %v with payload %q", got.Outcome, got.Payload)
				}
				if got := s.ear.outcome(t, second.ID).Outcome; got != tt.other {
					t.Errorf("second %v, want %v", got, tt.other)
				}
			})
		})
	}
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
			if r, err := d.Receive(s.t.Context(), w); err != nil || r.ID != first.ID {
				t.Errorf("first window: %+v, %v", r, err)
			}
		}
		w.From = 50_000
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

func TestPositionsDecideThePathLoss(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		eui, e := radio.EUI64{9}, &ear{}
		s.join(air.StationConfig{Gateway: &eui, Position: &[3]float64{0, 0, 0}}, e)
		other, near := radio.EUI64{10}, &ear{}
		s.join(air.StationConfig{Gateway: &other, PathLoss: 50}, near)
		for _, tt := range []struct {
			at   [3]float64
			loss radio.DBm // 128.95 + 23.2 log10(km), Petäjäjärvi et al. 2015
		}{{[3]float64{1000, 0, 0}, 128.95}, {[3]float64{0, 60, 80}, 105.75}, {[3]float64{0, 0, 0}, 59.35}} {
			d := s.join(air.StationConfig{Position: &tt.at, PathLoss: 1}, nil)
			tr := s.send(d, frame(sf(12)), air.Immediately, 14)
			sleep(3 * time.Second)
			if got := e.outcome(t, tr.ID).RSSI; got < 14-tt.loss-0.01 || got > 14-tt.loss+0.01 {
				t.Errorf("at %v: %v dBm", tt.at, got)
			}
			// A gateway that states nothing stands at the origin.
			if got := s.ear.outcome(t, tr.ID).RSSI; got != e.outcome(t, tr.ID).RSSI {
				t.Errorf("at %v: %v dBm at the other gateway", tt.at, got)
			}
			if got := near.outcome(t, tr.ID).RSSI; got != 14-50 {
				t.Errorf("at %v: %v dBm at the gateway with a path loss", tt.at, got)
			}
		}
	})
}

// A gateway that another one disturbs: 100 dB between them.
func TestGatewaysHearEachOther(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		eui, e := radio.EUI64{9}, &ear{}
		s.join(air.StationConfig{Gateway: &eui}, e)
		tr := s.send(s.gateway, frame(inverted(sf(9))), air.Immediately, 27)
		sleep(time.Second)
		if got := e.outcome(t, tr.ID); got.RSSI != -73 || len(s.ear.began()) != 0 {
			t.Errorf("%+v; itself heard %d", got, len(s.ear.began()))
		}
		if g := s.Gateways(); len(g) != 2 || g[0] != gatewayEUI || g[1] != eui {
			t.Errorf("gateways %v", g)
		}
	})
}

func TestFadingDependsOnTheSeedOnly(t *testing.T) {
	levels := func(seed uint64) (out []radio.DBm) {
		under(t, air.Config{Seed: seed, Fading: 8}, func(s *sky) {
			d := s.join(air.StationConfig{Name: "d"}, nil)
			for range 50 {
				tr := s.send(d, frame(sf(7)), air.Immediately, 14)
				sleep(time.Second)
				out = append(out, s.ear.outcome(t, tr.ID).RSSI)
			}
		})
		return out
	}
	a, b, c := levels(1), levels(1), levels(2)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Error("two runs with one seed differ")
	}
	if fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("another seed gives the same")
	}
	var sum, squares float64
	for _, x := range a {
		sum += float64(x + 86)
		squares += float64((x + 86) * (x + 86))
	}
	if mean := sum / 50; mean < -4 || mean > 4 || squares/50 < 25 || squares/50 > 130 {
		t.Errorf("mean %.1f dB, mean square %.1f", mean, squares/50)
	}
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
