package concentrator

import (
	"testing"
	"time"

	"gatewayd/radio"
)

// startLimitOfCampaign is longer than any wait of a start, with all of its
// second attempts.
const startLimitOfCampaign = 30 * time.Second

// rig is a board on which the campaign is fought.
type rig struct {
	name   string
	config func(testing.TB) Config
	rarer  int // only every one in so many of its cases, beyond the fault's own
}

var rigs = []rig{
	{"SX1250", eu868, 1},
	{"SX1257", sx1257, 97},
	{"SX1255 full duplex", func(t testing.TB) Config { return recorded(t, "start_cn490_sx1255_fdx").config() }, 149},
	{"SX1250 and SX1261", func(t testing.TB) Config { return as923(t) }, 11},
}

// campaignFrequencies are those of three channels, and three to send on.
func (c *Config) campaignFrequencies() (up, down [3]radio.Hertz) {
	n := 0
	for _, ch := range c.Channels {
		if ch.Enable && n < len(up) {
			up[n] = c.Radios[ch.Radio].Freq + ch.IF
			n++
		}
	}
	for i := range down {
		down[i] = up[i]
		if _, err := c.transmitter(up[i]); err != nil {
			down[i] = c.Radios[0].TXMin + radio.Hertz(300_000+200_000*i)
		}
		if l := c.SX1261.LBT.Channels; l != nil {
			down[i] = l[i].Freq
		}
	}
	return up, down
}
