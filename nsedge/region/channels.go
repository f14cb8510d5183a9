package region

import (
	"fmt"
	"slices"

	"github.com/brocaar/lorawan"
	"github.com/brocaar/lorawan/band"

	"gatewayd/radio"
)

// Channel is an uplink channel of a device.
type Channel struct {
	Index        int // as in NewChannelReq and channel masks
	Freq         radio.Hertz
	MinDR, MaxDR int
}

// Plan is what a gateway listens to.
type Plan struct {
	MultiSF []radio.Hertz // at most 8, 125 kHz, all spreading factors
	Service *Receiver     // one LoRa modulation, nil: none
	FSK     *Receiver     // nil: none
}

// Receiver is a channel with one modulation.
type Receiver struct {
	Freq radio.Hertz
	Mod  radio.Modulation
}

// Plan returns the gateway's channels. The caller may change the result.
func (r *Region) Plan() Plan {
	p := r.gateway(r.group)
	p.MultiSF = slices.Clone(p.MultiSF)
	return p
}

// JoinChannels are those on which a device that knows nothing of the network
// may send a join-request and be heard: the defaults of the region, less those
// of other groups. Not every group of CN470's plans for antennas has one.
func (r *Region) JoinChannels() []Channel {
	if r.antenna == nil {
		return r.defaults()
	}
	return slices.DeleteFunc(r.defaults(), func(c Channel) bool { return !slices.Contains(r.antenna.joins, c.Freq) })
}

// defaults are the region's own channels, less those of other groups.
func (r *Region) defaults() []Channel {
	var out []Channel
	for _, i := range r.up.GetStandardUplinkChannelIndices() {
		c, err := r.up.GetUplinkChannel(i)
		if err != nil || r.groups > 0 && !r.inGroup(i) {
			continue
		}
		out = append(out, Channel{Index: i, Freq: radio.Hertz(c.Frequency), MinDR: c.MinDR, MaxDR: r.known(c.MaxDR)})
	}
	return out
}

// Channels are those of a device that took the CFList.
func (r *Region) Channels() []Channel {
	out := r.defaults()
	minDR, maxDR := out[0].MinDR, out[0].MaxDR
	for i, f := range r.extras {
		if i == cfListChannels {
			break
		}
		out = append(out, Channel{Index: len(out), Freq: f, MinDR: minDR, MaxDR: maxDR})
	}
	return out
}

// MaxADRDataRate is the highest data rate that all 125 kHz channels share: the
// top of adaptive data rate.
func (r *Region) MaxADRDataRate() int { return r.defaults()[0].MaxDR }

// known lowers a data rate to the highest one that a gateway can receive.
func (r *Region) known(dr int) int {
	for ; dr > 0; dr-- {
		if _, err := r.rate(dr); err == nil {
			break
		}
	}
	return dr
}

// inGroup tells whether uplink channel i of a fixed plan is one of the
// gateway's: eight of the first channels, and one wide one where there are.
func (r *Region) inGroup(i int) bool {
	if narrow := 8 * r.groups; i >= narrow {
		return i-narrow == r.group-1
	}
	return i/8 == r.group-1
}

// steps lists n frequencies from the first one on, 200 kHz apart.
func steps(first radio.Hertz, n int) []radio.Hertz {
	out := make([]radio.Hertz, n)
	for i := range out {
		out[i] = first + radio.Hertz(i)*200_000
	}
	return out
}

// MaxChannels is how many channels a device has where they are not fixed
// (RP002 §2.5.2): a channel mask has that many bits.
const MaxChannels = 16

const cfListChannels = 5 // a CFList of type 0 has no more (LoRaWAN 1.0.4 §6.2.6)

// CFList returns the 16 bytes that a join-accept carries: extra channels (type
// 0), or the mask of the gateway's group (type 1, devices before 1.0.3 do not
// know it). nil: none.
func (r *Region) CFList(v Version) []byte {
	var l lorawan.CFList
	switch {
	case r.groups == 0 && len(r.extras) > 0:
		l = r.channelList()
	case r.groups > 0 && !slices.Contains([]string{band.LoRaWAN_1_0_0, band.LoRaWAN_1_0_1, band.LoRaWAN_1_0_2}, v.LoRaWAN):
		l = r.channelMask()
	default:
		return nil
	}
	b, err := l.MarshalBinary()
	if err != nil { // the tests marshal each of them
		panic(fmt.Sprintf("region: CFList of %s: %v", r.Short(), err))
	}
	return b
}

func (r *Region) channelList() lorawan.CFList {
	var p lorawan.CFListChannelPayload
	for i, f := range r.extras[:min(len(r.extras), cfListChannels)] {
		p.Channels[i] = uint32(f)
	}
	return lorawan.CFList{CFListType: lorawan.CFListChannel, Payload: &p}
}

func (r *Region) channelMask() lorawan.CFList {
	var p lorawan.CFListChannelMaskPayload
	for i := range r.up.GetUplinkChannelIndices() {
		if i%16 == 0 {
			p.ChannelMasks = append(p.ChannelMasks, lorawan.ChMask{})
		}
		p.ChannelMasks[i/16][i%16] = r.inGroup(i)
	}
	return lorawan.CFList{CFListType: lorawan.CFListChannelMask, Payload: &p}
}

// HasWideChannels tells whether the region has eight uplink channels of
// 500 kHz above its narrow ones, with a ChMaskCntl that switches both (RP002
// §2.6.5, §2.8.5).
func (r *Region) HasWideChannels() bool { return len(r.up.GetUplinkChannelIndices()) == 72 }

// MaskOff is the ChMaskCntl that switches all channels of a fixed plan off, so
// that what follows in the same block of commands is what is left; ok is false
// where there is none (RP002 §2.6.5, §2.8.5, §2.9.5).
func (r *Region) MaskOff() (cntl uint8, ok bool) {
	switch {
	case r.antenna != nil:
		return r.antenna.off, true
	case r.HasWideChannels():
		return 7, true
	}
	return 0, false
}
