package concentrator

import (
	"testing"
	"testing/synctest"

	"gatewayd/radio"
)

// The sign of the frequency offset is that of the vendor's library, where it
// shows in two places that agree: to the demodulator's reading it adds what
// the channel was meant to be above where it really is, and it lengthens the
// way back from header to preamble of a fine time stamp for a positive
// offset, as of a slow transmitter. So it is channel minus transmitter.
func TestAFrequencyOffsetIsChannelMinusTransmitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, eu868(t), fast, nil)
		b.run()
		d := b.device()
		for _, channel := range []radio.Hertz{868_100_000, 868_300_000, 867_100_000, 867_900_000} {
			for _, off := range []radio.Hertz{0, 1_234, -1_234, 9_000, -9_000} {
				d.say("hello", channel+off, radio.LoRa{SF: 9, Bandwidth: 125_000})
				u := <-b.Uplinks()
				// A step of the reading is 0.12 Hz; both roundings are toward zero.
				if got := u.FreqOffset + off; max(got, -got) > 1 || u.Freq != channel {
					t.Errorf("%d Hz above %d Hz: %d Hz on %d Hz", off, channel, u.FreqOffset, u.Freq)
				}
			}
		}
		b.stop()
	})
}
