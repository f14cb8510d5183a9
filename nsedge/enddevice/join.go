package enddevice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// Join activates the device by OTAA, with back-off and a fresh DevNonce for
// each attempt, until it succeeds or ctx ends.
func (d *Device) Join(ctx context.Context) error {
	if d.cfg.ABP != nil {
		return fmt.Errorf("join: %w: ABP is set, such a device never joins", ErrConfig)
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.release()
	d.reset()
	begin := d.m.Now()
	next := begin
	for n := 0; ; n++ {
		// Every second failure tries a lower data rate, then all over again.
		top := d.st.nearestDR(d.cfg.DataRate)
		dr := d.st.nearestDR(top - n/2%(top+1))
		up, err := d.tryJoin(ctx, dr, next)
		if err == nil || !errors.Is(err, ErrNoAccept) {
			return err
		}
		d.log.Debug("join", "attempt", n+1, "err", err)
		next = up.End.Add(d.backOff(up, begin))
	}
}

// backOff is how long to wait after a join-request: the duty cycle of §7
// ("retransmissions back-off"), 1 % in the first hour, 0.1 % in the next ten,
// 0.01 % later, and at least until RX2 is over, randomised.
func (d *Device) backOff(up air.Transmission, begin radio.Instant) time.Duration {
	share := 100
	switch since := up.End.Sub(begin); {
	case since > 11*time.Hour:
		share = 10_000
	case since > time.Hour:
		share = 1000
	}
	wait := up.End.Sub(up.Start) * time.Duration(share-1)
	if d.cfg.NoDutyCycle || d.has(JoinHammering) {
		wait = 0
	}
	wait = max(wait, d.region.Delays().JoinAccept2)
	return wait + time.Duration(d.rnd.Int64N(int64(3*time.Second)))
}

// tryJoin sends one join-request. The error wraps ErrNoAccept if another
// attempt may succeed.
func (d *Device) tryJoin(ctx context.Context, dr int, earliest radio.Instant) (air.Transmission, error) {
	nonce, err := d.nextNonce()
	if err != nil {
		return air.Transmission{}, err
	}
	phy := lorawan.PHYPayload{
		MHDR: lorawan.MHDR{MType: lorawan.JoinRequest},
		MACPayload: &lorawan.JoinRequestPayload{
			JoinEUI: lorawan.EUI64(d.cfg.JoinEUI), DevEUI: lorawan.EUI64(d.cfg.DevEUI), DevNonce: lorawan.DevNonce(nonce),
		},
	}
	if err := phy.SetUplinkJoinMIC(lorawan.AES128Key(d.cfg.root())); err != nil {
		return air.Transmission{}, fmt.Errorf("join-request: %w", err)
	}
	frame, err := phy.MarshalBinary()
	if err != nil {
		return air.Transmission{}, fmt.Errorf("join-request: %w", err)
	}
	up, channel, err := d.transmit(ctx, func(Channel) ([]byte, error) { return frame, nil }, dr, earliest)
	if err != nil {
		return up, fmt.Errorf("join-request: %w", err)
	}
	d.emit(Joining{up, nonce, dr, lorawan.JoinRequestType})
	delays := d.region.Delays()
	slots, err := d.windows(up, channel, dr, delays.JoinAccept1, delays.JoinAccept2)
	if err != nil {
		return up, fmt.Errorf("join-request: %w", err)
	}
	ok, err := d.listen(ctx, up, slots, func(a Arrival) bool { return d.accept(a, lorawan.JoinRequestType, nonce, dr) })
	if err == nil && !ok {
		err = fmt.Errorf("join: %w", ErrNoAccept)
	}
	return up, err
}

// nextNonce returns a DevNonce that was never used. It counts up (§6.2.5); for
// devices before 1.0.4, whose nonces are random, the count is scattered over
// all values without ever repeating one.
func (d *Device) nextNonce() (uint16, error) {
	if d.st.Joins > 0xFFFF {
		return 0, fmt.Errorf("join: %w: give the device another DevEUI or JoinEUI", ErrNonces)
	}
	n := uint16(d.st.Joins)
	d.st.Joins++
	d.save()
	switch {
	case d.has(SameDevNonce):
		return sameNonce, nil
	case d.has(DevNonceBack):
		return ^n, nil
	case d.cfg.counts():
		return n, nil
	}
	return n*40_503 + uint16(d.cfg.Seed)*257 + uint16(d.cfg.DevEUI[7])<<8 + uint16(d.cfg.DevEUI[6]), nil
}

// accept takes a join-accept that answers a request of that type and reports
// whether it was right. nonce is the DevNonce or RJcount. Only a device of 1.1
// compares JoinNonces: network servers before 1.0.4 draw them.
func (d *Device) accept(a Arrival, kind lorawan.JoinType, nonce uint16, dr int) bool {
	var phy lorawan.PHYPayload
	if err := phy.UnmarshalBinary(a.Payload); err != nil || phy.MHDR.MType != lorawan.JoinAccept {
		return false // somebody else's downlink
	}
	encrypt := d.cfg.root()
	if kind != lorawan.JoinRequestType {
		encrypt = d.cfg.jsEncKey()
	}
	if err := phy.DecryptJoinAcceptPayload(lorawan.AES128Key(encrypt)); err != nil {
		d.emit(Rejected{a, fmt.Errorf("join-accept: %w", err)})
		return false
	}
	p, ok := phy.MACPayload.(*lorawan.JoinAcceptPayload)
	if !ok {
		return false
	}
	sign := d.cfg.root()
	if p.DLSettings.OptNeg && d.cfg.Version == version11 {
		sign = d.cfg.jsIntKey()
	}
	if ok, err := phy.ValidateDownlinkJoinMIC(kind, lorawan.EUI64(d.cfg.JoinEUI), lorawan.DevNonce(nonce), lorawan.AES128Key(sign)); (err != nil || !ok) && !d.has(BadAccept) {
		d.emit(Rejected{a, errors.New("join-accept: the MIC is wrong, or it is for another device")})
		return false
	}
	if err := d.activate(p, kind, nonce, dr); err != nil {
		d.emit(Rejected{a, fmt.Errorf("join-accept: %w", err)})
		return false
	}
	d.save()
	d.log.Debug("joined", "dev_addr", d.st.DevAddr.String())
	d.emit(Joined{Arrival: a, DevAddr: d.st.DevAddr, NetID: netID(p.HomeNetID), JoinNonce: uint32(p.JoinNonce), DevNonce: nonce, Type: kind})
	return true
}

func netID(n lorawan.NetID) uint32 { return uint32(n[0])<<16 | uint32(n[1])<<8 | uint32(n[2]) }

// activate sets the state that a join-accept makes (§6.2.6), on top of that
// after a reset. One that answers a rejoin-request of type 2 leaves the radio
// as it is.
func (d *Device) activate(p *lorawan.JoinAcceptPayload, kind lorawan.JoinType, nonce uint16, dr int) error {
	switch {
	case d.cfg.Version == version11 && uint32(p.JoinNonce) < d.st.JoinNonce:
		return fmt.Errorf("JoinNonce %d was used: %d is the next", p.JoinNonce, d.st.JoinNonce)
	case kind != lorawan.JoinRequestType && !p.DLSettings.OptNeg:
		return errors.New("OptNeg is missing: a rejoin-request is answered by a network of 1.1")
	}
	if _, err := d.region.Downlink(int(p.DLSettings.RX2DataRate)); err != nil {
		return fmt.Errorf("RX2DataRate: %w", err)
	}
	if off := int(p.DLSettings.RX1DROffset); off > d.region.MaxRX1Offset() {
		return fmt.Errorf("RX1DROffset: %w: %d, 0 to %d is allowed", region.ErrOffset, off, d.region.MaxRX1Offset())
	}
	old := d.st.Session
	if kind == lorawan.RejoinRequestType0 || kind == lorawan.RejoinRequestType1 || kind == lorawan.RejoinRequestType2 && d.has(ResetsRadio) {
		d.reset()
	}
	d.st.JoinNonce = uint32(p.JoinNonce) + 1
	d.st.Joined, d.st.NetID = true, p.HomeNetID
	d.st.Session = d.cfg.session(p, nonce)
	if kind != lorawan.JoinRequestType && d.has(KeepsSession) {
		d.st.Session = old
	}
	if d.has(WrongDevAddr) {
		d.st.DevAddr[3]++
	}
	d.b.told = false // of a new session, the network knows nothing
	d.answers, d.ack, d.unheard, d.unanswer = nil, false, 0, 0
	if kind == lorawan.RejoinRequestType2 {
		return nil
	}
	if !d.has(IgnoresRXDelay) {
		d.st.RX1Delay = max(int(p.RXDelay), 1)
	}
	if !d.has(IgnoresRX1Offset) {
		d.st.RX1Offset = int(p.DLSettings.RX1DROffset)
	}
	if !d.has(IgnoresRX2Rate) {
		d.st.RX2DR = int(p.DLSettings.RX2DataRate)
	}
	if p.CFList != nil && !d.has(IgnoresCFList) {
		d.useCFList(p.CFList)
	}
	d.st.DataRate = d.st.nearestDR(dr)
	return nil
}

// useCFList adds five channels (type 0, RP002 for regions with free channels)
// or sets the channel mask (type 1, where channels are fixed). A list of the
// other type is ignored, as RP002 says.
func (d *Device) useCFList(l *lorawan.CFList) {
	switch p := l.Payload.(type) {
	case *lorawan.CFListChannelPayload:
		if d.all != nil {
			return
		}
		defaults := d.cfg.Region.JoinChannels()
		for i, f := range p.Channels {
			if f != 0 && d.region.Contains(radio.Hertz(f)) {
				d.setChannel(Channel{
					Index: len(defaults) + i, Freq: radio.Hertz(f),
					MinDR: defaults[0].MinDR, MaxDR: defaults[0].MaxDR, Enabled: true,
				})
			}
		}
	case *lorawan.CFListChannelMaskPayload:
		if d.all == nil {
			return
		}
		channels := d.defined()
		for i := range channels {
			n := channels[i].Index
			channels[i].Enabled = n/16 < len(p.ChannelMasks) && p.ChannelMasks[n/16][n%16]
		}
		if enabled := only(channels); len(enabled) > 0 {
			d.st.Channels = enabled
		}
	}
}
