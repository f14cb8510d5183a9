package enddevice

import (
	"context"
	"math"
	"slices"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// maxOptions is the length of FOpts.
const maxOptions = 15

// answer is an uplink MAC command that waits for a frame. A sticky one is
// repeated until a downlink in RX1 or RX2 shows that it was heard (§5).
type answer struct {
	cid    lorawan.CID
	bytes  []byte
	sticky bool
	sent   bool
}

// RequestLinkCheck adds a LinkCheckReq to the next uplink; the answer is in
// its Result.
func (d *Device) RequestLinkCheck(ctx context.Context) error {
	return d.request(ctx, lorawan.LinkCheckReq)
}

// RequestTime adds a DeviceTimeReq to the next uplink; the answer, GPS time at
// the end of that uplink, is in its Result.
func (d *Device) RequestTime(ctx context.Context) error {
	return d.request(ctx, lorawan.DeviceTimeReq)
}

func (d *Device) request(ctx context.Context, cid lorawan.CID) error {
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.release()
	d.ask(cid, nil)
	return nil
}

// ask queues a request that is not queued yet.
func (d *Device) ask(cid lorawan.CID, payload lorawan.MACCommandPayload) {
	if !slices.ContainsFunc(d.answers, func(a answer) bool { return a.cid == cid }) {
		d.say(cid, payload, false)
	}
}

// say queues an uplink MAC command.
func (d *Device) say(cid lorawan.CID, payload lorawan.MACCommandPayload, sticky bool) {
	b, err := lorawan.MACCommand{CID: cid, Payload: payload}.MarshalBinary()
	if err != nil { // only for fields out of range, which none has
		d.log.Warn("MAC answer not sent", "cid", cid.String(), "err", err)
		return
	}
	if d.has(RefusesMAC) {
		b = refusal(cid, b)
	}
	d.answers = append(d.answers, answer{cid: cid, bytes: b, sticky: sticky})
}

// options returns what goes first and as many waiting commands as fit, in
// order; the others wait.
func (d *Device) options(first []byte, room int) (out []byte) {
	if len(first) <= room {
		out = first
	}
	var rest []answer
	for i, a := range d.answers {
		if len(out)+len(a.bytes) > room {
			rest = append(rest, d.answers[i:]...)
			break
		}
		out = append(out, a.bytes...)
		if a.sticky && !d.has(StickyOnce) {
			a.sent = true
			rest = append(rest, a)
		}
	}
	d.answers = rest
	return out
}

// dropSticky forgets sticky answers that the network has heard.
func (d *Device) dropSticky() {
	d.answers = slices.DeleteFunc(d.answers, func(a answer) bool { return a.sent })
}

// obey carries out MAC commands and queues the answers.
func (d *Device) obey(list []lorawan.MACCommand, snr radio.DB) {
	list = d.heeded(list)
	for i := 0; i < len(list); i++ {
		cid, before := list[i].CID, d.st.clone()
		switch p := list[i].Payload.(type) {
		case *lorawan.LinkADRReqPayload:
			block := []*lorawan.LinkADRReqPayload{p}
			for ; i+1 < len(list) && list[i+1].CID == lorawan.LinkADRReq; i++ {
				block = append(block, list[i+1].Payload.(*lorawan.LinkADRReqPayload))
			}
			ans := d.linkADR(block)
			for range block {
				d.say(lorawan.LinkADRAns, ans, false)
			}
		case *lorawan.DutyCycleReqPayload:
			if p.MaxDCycle <= 15 {
				d.st.MaxDuty = p.MaxDCycle
			}
			d.say(lorawan.DutyCycleAns, nil, false)
		case *lorawan.RXParamSetupReqPayload:
			d.say(lorawan.RXParamSetupAns, d.rxParams(p), true)
		case *lorawan.NewChannelReqPayload:
			if d.all == nil { // RP002 §2.6: unknown where channels are fixed
				d.say(lorawan.NewChannelAns, d.newChannel(p), false)
			}
		case *lorawan.DLChannelReqPayload:
			if d.all == nil {
				d.say(lorawan.DLChannelAns, d.downChannel(p), true)
			}
		case *lorawan.RXTimingSetupReqPayload:
			d.st.RX1Delay = max(int(p.Delay&15), 1)
			d.say(lorawan.RXTimingSetupAns, nil, true)
		case *lorawan.TXParamSetupReqPayload:
			if d.region.HasTXParamSetup() && d.txParams(p) {
				d.say(lorawan.TXParamSetupAns, nil, true)
			}
		default:
			d.obey11(list[i])
		case nil:
			if list[i].CID == lorawan.DevStatusReq {
				margin := min(max(math.Round(float64(snr)), -32), 31)
				d.say(lorawan.DevStatusAns, &lorawan.DevStatusAnsPayload{Battery: d.cfg.Battery, Margin: int8(margin)}, false)
			}
		}
		d.feigned(cid, before)
	}
}

// linkADR carries out a block of LinkADRReq (§5.2): the masks add up, data
// rate, power and repetitions are those of the last one, and all is done or
// nothing.
func (d *Device) linkADR(block []*lorawan.LinkADRReqPayload) *lorawan.LinkADRAnsPayload {
	ans := &lorawan.LinkADRAnsPayload{ChannelMaskACK: true, DataRateACK: true, PowerACK: true}
	before := d.st.clone()
	channels := d.defined()
	for _, p := range block {
		ans.ChannelMaskACK = d.mask(channels, p.Redundancy.ChMaskCntl, p.ChMask) && ans.ChannelMaskACK
	}
	ans.ChannelMaskACK = ans.ChannelMaskACK && len(only(channels)) > 0
	last := block[len(block)-1]
	dr, power := d.st.DataRate, d.st.TXPower
	if last.DataRate != 15 {
		dr = int(last.DataRate)
	}
	if last.TXPower != 15 {
		power = int(last.TXPower)
	}
	_, drErr := d.region.DataRate(dr)
	ans.DataRateACK = drErr == nil && (!ans.ChannelMaskACK || usable(channels, dr))
	_, powerErr := d.region.TXPower(power)
	ans.PowerACK = powerErr == nil
	if ans.ChannelMaskACK && ans.DataRateACK && ans.PowerACK {
		d.st.DataRate, d.st.TXPower = dr, power
		d.st.NbTrans = max(int(last.Redundancy.NbRep), 1)
		d.st.Channels = channels
		if d.all != nil {
			d.st.Channels = only(channels)
		}
	}
	d.misobey(before, !(ans.ChannelMaskACK && ans.DataRateACK && ans.PowerACK), last)
	return ans
}

// defined returns all channels that a mask may name, with their present state.
func (d *Device) defined() []Channel {
	if d.all == nil {
		return slices.Clone(d.st.Channels)
	}
	out := slices.Clone(d.all)
	for i := range out {
		out[i].Enabled = slices.ContainsFunc(d.st.Channels, func(c Channel) bool { return c.Index == out[i].Index && c.Enabled })
	}
	return out
}

// only returns the enabled channels.
func only(channels []Channel) (out []Channel) {
	for _, c := range channels {
		if c.Enabled {
			out = append(out, c)
		}
	}
	return out
}

// mask applies a channel mask and reports whether it makes sense. What
// ChMaskCntl means depends on the region (RP002 §2.5.5, §2.6.5, §2.7.5, §2.10.5).
func (d *Device) mask(channels []Channel, cntl uint8, mask lorawan.ChMask) bool {
	wide := len(d.all) == 72 // 64 narrow channels and 8 wide ones
	off, fixed := d.region.MaskOff()
	antennas := fixed && !wide // CN470 of RP002: the one before it is all on
	blocks := uint8((len(d.all) + 15) / 16)
	if d.all == nil {
		blocks = 1
	}
	set := func(from, to int, bit func(i int) bool) {
		for i := range channels {
			if n := channels[i].Index; from <= n && n < to {
				channels[i].Enabled = bit(n - from)
			}
		}
	}
	bits := func(i int) bool { return mask[i] }
	switch {
	case cntl < blocks:
		first := int(cntl) * 16
		set(first, first+16, bits)
		return d.allDefined(channels, first, mask)
	case wide && cntl == 5: // a bit for eight narrow channels and a wide one
		set(0, 64, func(i int) bool { return mask[i/8] })
		set(64, 72, bits)
	case wide && cntl >= 6:
		set(0, 64, func(int) bool { return cntl == 6 })
		set(64, 72, bits)
	case antennas && cntl == off:
		set(0, math.MaxInt, func(int) bool { return false })
	case antennas && cntl == off-1, !antennas && cntl == 6:
		set(0, math.MaxInt, func(int) bool { return true })
	default:
		return false
	}
	return true
}

// allDefined tells whether there is a channel for each bit of a mask.
func (d *Device) allDefined(channels []Channel, first int, mask lorawan.ChMask) bool {
	for i, on := range mask {
		if on && !slices.ContainsFunc(channels, func(c Channel) bool { return c.Index == first+i }) {
			return false
		}
	}
	return true
}

// rxParams carries out RXParamSetupReq (§5.4): all or nothing.
func (d *Device) rxParams(p *lorawan.RXParamSetupReqPayload) *lorawan.RXParamSetupAnsPayload {
	dr := int(p.DLSettings.RX2DataRate)
	_, err := d.region.Downlink(dr)
	ans := &lorawan.RXParamSetupAnsPayload{
		ChannelACK:     d.region.Contains(radio.Hertz(p.Frequency)),
		RX2DataRateACK: err == nil,
		RX1DROffsetACK: int(p.DLSettings.RX1DROffset) <= d.region.MaxRX1Offset(),
	}
	if ans.ChannelACK && ans.RX2DataRateACK && ans.RX1DROffsetACK {
		d.st.RX2Freq, d.st.RX2DR, d.st.RX1Offset = radio.Hertz(p.Frequency), dr, int(p.DLSettings.RX1DROffset)
	}
	return ans
}

// newChannel carries out NewChannelReq (§5.6). Default channels can't be
// changed, frequency 0 takes a channel away.
func (d *Device) newChannel(p *lorawan.NewChannelReqPayload) *lorawan.NewChannelAnsPayload {
	index, freq := int(p.ChIndex), radio.Hertz(p.Freq)
	own := index >= len(d.cfg.Region.JoinChannels()) && index < 16
	ans := &lorawan.NewChannelAnsPayload{
		ChannelFrequencyOK: own && (freq == 0 || d.region.Contains(freq)),
		DataRateRangeOK:    own && (freq == 0 || d.validRange(int(p.MinDR), int(p.MaxDR))),
	}
	if !ans.ChannelFrequencyOK || !ans.DataRateRangeOK {
		return ans
	}
	if freq == 0 {
		d.st.Channels = slices.DeleteFunc(d.st.Channels, func(c Channel) bool { return c.Index == index })
	} else {
		d.setChannel(Channel{Index: index, Freq: freq, MinDR: int(p.MinDR), MaxDR: int(p.MaxDR), Enabled: true})
	}
	if len(only(d.st.Channels)) == 0 { // it was the last one that was enabled
		d.enableDefaults()
	}
	d.st.DataRate = d.st.nearestDR(d.st.DataRate)
	return ans
}

// enableDefaults switches the region's own channels on.
func (d *Device) enableDefaults() {
	for _, c := range d.cfg.Region.JoinChannels() {
		d.setChannel(Channel{Index: c.Index, Freq: c.Freq, MinDR: c.MinDR, MaxDR: c.MaxDR, Enabled: true})
	}
}

// validRange tells whether all data rates of a range exist for uplinks.
func (d *Device) validRange(lo, hi int) bool {
	for dr := lo; dr <= hi; dr++ {
		if m, err := d.region.DataRate(dr); err != nil {
			return false
		} else if _, err := d.region.DataRateOf(m, true); err != nil {
			return false
		}
	}
	return lo <= hi
}

// downChannel carries out DlChannelReq (§5.7).
func (d *Device) downChannel(p *lorawan.DLChannelReqPayload) *lorawan.DLChannelAnsPayload {
	i := slices.IndexFunc(d.st.Channels, func(c Channel) bool { return c.Index == int(p.ChIndex) })
	ans := &lorawan.DLChannelAnsPayload{UplinkFrequencyExists: i >= 0, ChannelFrequencyOK: d.region.Contains(radio.Hertz(p.Freq))}
	if ans.UplinkFrequencyExists && ans.ChannelFrequencyOK {
		d.st.Channels[i].Down = radio.Hertz(p.Freq)
	}
	return ans
}

// txParams carries out TXParamSetupReq (§5.8) and reports whether it could.
func (d *Device) txParams(p *lorawan.TXParamSetupReqPayload) bool {
	eirp, err := lorawan.GetTXParamSetupEIRP(p.MaxEIRP)
	if err != nil {
		return false
	}
	before := d.st.Dwell
	d.st.Dwell = &region.Dwell{Uplink: p.UplinkDwellTime == lorawan.DwellTime400ms, Downlink: p.DownlinkDwelltime == lorawan.DwellTime400ms}
	if err := d.readRegion(); err != nil {
		d.log.Warn("TXParamSetupReq ignored", "err", err)
		d.st.Dwell = before
		return false
	}
	limit := radio.DBm(eirp)
	d.st.MaxEIRP = &limit
	return true
}

// setChannel adds or replaces a channel.
func (d *Device) setChannel(c Channel) {
	i, found := slices.BinarySearchFunc(d.st.Channels, c.Index, func(a Channel, index int) int { return a.Index - index })
	if found {
		d.st.Channels[i] = c
		return
	}
	d.st.Channels = slices.Insert(d.st.Channels, i, c)
}
