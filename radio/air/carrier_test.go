package air_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// A carrier disturbs as any foreign signal does: LoRa when it is stronger by
// 8 dB (SF7), FSK when that is not stronger by 9 dB; where it is counts, not
// what it is beside.
func TestACarrierDisturbsWhatItIsIn(t *testing.T) {
	for _, x := range []struct {
		name          string
		freq, offset  radio.Hertz
		victim        radio.Modulation
		power         radio.DBm // of the carrier; the frame has 0
		start, length time.Duration
		want          air.Outcome
	}{
		{"as strong", 868_100_000, 0, sf(7), 0, 0, time.Second, air.Clear},
		{"8 dB stronger", 868_100_000, 0, sf(7), 7.9, 0, time.Second, air.Clear},
		{"more", 868_100_000, 0, sf(7), 8.1, 0, time.Second, air.Lost},
		{"more, in the payload", 868_100_000, 0, sf(7), 8.1, 40 * time.Millisecond, time.Second, air.Corrupted},
		{"more, over before the preamble's end", 868_100_000, 0, sf(7), 8.1, 0, 3 * time.Millisecond, air.Clear},
		{"edge of the channel", 868_100_000, 62_000, sf(7), 8.1, 0, time.Second, air.Lost},
		{"beside the channel", 868_100_000, 63_000, sf(7), 30, 0, time.Second, air.Clear},
		{"from another channel into this one", 868_300_000, -200_000, sf(7), 8.1, 0, time.Second, air.Lost},
		{"FSK, 9 dB weaker", 868_100_000, 0, radio.FSK{BitRate: 50_000}, -9.1, 0, time.Second, air.Clear},
		{"FSK", 868_100_000, 0, radio.FSK{BitRate: 50_000}, -8.9, 0, time.Second, air.Lost},
	} {
		t.Run(x.name, func(t *testing.T) {
			under(t, air.Config{}, func(s *sky) {
				device, jammer := s.join(air.StationConfig{}, nil), s.join(air.StationConfig{}, nil)
				tr := s.send(device, frame(x.victim), 1000, 0)
				jam := s.send(jammer, air.Frame{Freq: x.freq, Mod: radio.Carrier{Offset: x.offset, Duration: x.length}}, radio.Instant(1000).Add(x.start), x.power)
				sleep(2 * time.Second)
				if got := s.ear.outcome(t, tr.ID).Outcome; got != x.want {
					t.Errorf("the frame is %v, want %v", got, x.want)
				}
				if got := s.ear.outcome(t, jam.ID); got.Outcome != air.Lost || got.End-got.Start != radio.Instant(x.length/time.Microsecond) {
					t.Errorf("the carrier is %v, from %d to %d", got.Outcome, got.Start, got.End)
				}
			})
		})
	}
}

func TestCarriersThatCannotBeAreRefused(t *testing.T) {
	under(t, air.Config{}, func(s *sky) {
		d := s.join(air.StationConfig{}, nil)
		for _, f := range []air.Frame{
			{Freq: 1, Mod: radio.Carrier{}},
			{Freq: 1, Mod: radio.Carrier{Duration: 121 * time.Second}},
			{Freq: 1, Mod: radio.Carrier{Duration: time.Second}, Payload: []byte{1}},
		} {
			if _, err := d.Transmit(f, air.Immediately, 14); !errors.Is(err, air.ErrFrame) {
				t.Errorf("%+v: %v", f, err)
			}
		}
		w := air.Window{Freq: 1, Mod: radio.Carrier{Duration: time.Second}, Until: 1}
		if _, err := d.Receive(s.t.Context(), w); !errors.Is(err, air.ErrFrame) {
			t.Errorf("window for a carrier: %v", err)
		}
	})
}

func TestProtocolCarrier(t *testing.T) {
	served(t, func(_ *sky, dial func() *script) {
		a, m := dial(), dial()
		m.say(`{"op":"monitor"}`)
		a.say(`{"op":"hello","name":"jammer"}`)
		a.line()
		synctest.Wait()
		a.say(`{"op":"tx","id":1,"freq_hz":868100000,"modulation":"CARRIER","duration_us":250000,"power_dbm":14}`)
		a.want(`{"op":"tx_started","id":1,"start_us":0,"end_us":250000}`)
		m.want(`{"op":"on_air","from":"jammer","freq_hz":868100000,"modulation":"CARRIER","preamble":0,"crc":false,"duration_us":250000,"payload":"",` +
			`"start_us":0,"end_us":250000,"power_dbm":14}`)
		a.want(`{"op":"tx_done","id":1}`)
		for _, bad := range []struct{ line, word string }{
			{`{"op":"tx","id":2,"freq_hz":868100000,"modulation":"CARRIER","power_dbm":14}`, "duration_us is missing"},
			{`{"op":"tx","id":2,"freq_hz":868100000,"modulation":"CARRIER","power_dbm":14,"duration_us":120000001}`, "duration_us"},
			{`{"op":"tx","id":2,"freq_hz":868100000,"modulation":"CARRIER","power_dbm":14,"duration_us":1,"payload":"AQ=="}`, "carries nothing"},
			{`{"op":"rx","id":2,"freq_hz":868100000,"modulation":"CARRIER","duration_us":1}`, `one of "LORA", "FSK"`},
		} {
			a.say("%s", bad.line)
			a.wantError("2", bad.word)
		}
	})
}
