package air_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

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

// The payload is damaged from where it was hit on: 20 bytes from 20.736 ms to
// 56.576 ms, hit after 80 % of them.
func TestCollisionSparesWhatWasReceived(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		a, b := s.join(air.StationConfig{}, nil), s.join(air.StationConfig{}, nil)
		tr := s.send(a, frame(sf(7)), 0, 14)
		s.send(b, frame(sf(7)), 20_736+35_840*8/10, 14)
		sleep(time.Second)
		got := s.ear.outcome(t, tr.ID).Payload
		if string(got[:16]) != string(tr.Payload[:16]) || got[16] == tr.Payload[16] || len(got) != 20 {
			t.Errorf("payload %q", got)
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
