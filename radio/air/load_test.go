package air_test

import (
	"testing"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// saturate keeps eight channels with SF7 to SF12 busy without a pause for a
// time, and returns how many frames were heard and the most that was kept.
func saturate(t *testing.T, d time.Duration) (heard, kept int) {
	under(t, air.Config{}, func(s *sky) {
		for channel := range radio.Hertz(8) {
			for n := range uint8(6) {
				f := frame(sf(7 + n))
				f.Freq = 867_100_000 + 200_000*channel
				st := s.join(air.StationConfig{}, nil)
				var at radio.Instant
				go func() {
					for at < radio.Instant(d/time.Microsecond) {
						tr, err := st.Transmit(f, at, 14)
						if err != nil {
							t.Error(err)
							return
						}
						at = tr.End
						time.Sleep(tr.End.Sub(s.Now()))
					}
				}()
			}
		}
		for range int(d / time.Second) {
			sleep(time.Second)
			kept = max(kept, s.Kept())
		}
		sleep(5 * time.Second)
		heard = len(s.ear.ended())
		for _, r := range s.ear.ended() {
			if r.Outcome != air.Clear {
				t.Fatalf("orthogonal frames disturbed each other: %+v", r)
			}
		}
	})
	return heard, kept
}

// 30 to 31 frames of 20 bytes a second and channel; what is kept must not
// grow with time: two seconds of history and the longest frame on the air.
func TestSaturatedMediumStaysSmall(t *testing.T) {
	heard, kept := saturate(t, 30*time.Second)
	if heard < 30*8*30 {
		t.Errorf("only %d frames heard", heard)
	}
	if kept > 8*40*5 {
		t.Errorf("%d transmissions kept", kept)
	}
}
