package enddevice

import (
	"context"
	"crypto/aes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// What LoRaWAN 1.1 adds; section numbers here are those of its specification.

const version11 = "1.1"

// counts tells whether DevNonces count up and counters may jump by any gap.
func (c *Config) counts() bool { return c.Version == "1.0.4" || c.Version == version11 }

// revision is the version as the region's tables call it.
func (c *Config) revision() region.Version {
	if c.Version == version11 {
		return region.Version{LoRaWAN: "1.1.0"}
	}
	return region.Version{LoRaWAN: c.Version}
}

// root is the key that signs join-requests.
func (c *Config) root() Key {
	if c.Version == version11 {
		return c.NwkKey
	}
	return c.AppKey
}

// macVersion is that of the session.
func (s *Session) macVersion() lorawan.MACVersion {
	if s.V11 {
		return lorawan.LoRaWAN1_1
	}
	return lorawan.LoRaWAN1_0
}

// integrity and encryption are the keys for what is not an application's: one
// in 1.0.
func (s *Session) integrity() lorawan.AES128Key {
	if s.V11 {
		return lorawan.AES128Key(s.SNwkSIntKey)
	}
	return lorawan.AES128Key(s.NwkSKey)
}

func (s *Session) encryption() lorawan.AES128Key {
	if s.V11 {
		return lorawan.AES128Key(s.NwkSEncKey)
	}
	return lorawan.AES128Key(s.NwkSKey)
}

// counter is the one of a downlink from an application, or from the network.
func (s *Session) counter(app bool) *uint32 {
	if app && s.V11 {
		return &s.AFCntDown
	}
	return &s.FCntDown
}

// derive makes a key of a root key (§6.1.1.3, §6.2.5).
func derive(root Key, kind byte, parts ...[]byte) (out Key) {
	in := [16]byte{kind}
	n := 1
	for _, p := range parts {
		n += copy(in[n:], p)
	}
	block, err := aes.NewCipher(root[:])
	if err != nil {
		panic(err) // only for keys that are not 16 bytes
	}
	block.Encrypt(out[:], in[:])
	return out
}

// littleEndian is an EUI as it is on the air.
func littleEndian(e radio.EUI64) []byte {
	return binary.LittleEndian.AppendUint64(nil, binary.BigEndian.Uint64(e[:]))
}

// jsIntKey signs rejoin-requests of type 1 and join-accepts with OptNeg.
func (c *Config) jsIntKey() Key { return derive(c.NwkKey, 6, littleEndian(c.DevEUI)) }

// jsEncKey encrypts the join-accepts that answer rejoin-requests.
func (c *Config) jsEncKey() Key { return derive(c.NwkKey, 5, littleEndian(c.DevEUI)) }

// session makes the session of a join-accept. Without OptNeg the network is
// one of 1.0, and so is the session.
func (c *Config) session(p *lorawan.JoinAcceptPayload, nonce uint16) Session {
	s := Session{DevAddr: DevAddr(p.DevAddr)}
	if !p.DLSettings.OptNeg || c.Version != version11 {
		s.NwkSKey, s.AppSKey = sessionKeys(c.root(), uint32(p.JoinNonce), netID(p.HomeNetID), nonce)
		return s
	}
	join := binary.LittleEndian.AppendUint32(nil, uint32(p.JoinNonce))[:3]
	dev := binary.LittleEndian.AppendUint16(nil, nonce)
	key := func(root Key, kind byte) Key { return derive(root, kind, join, littleEndian(c.JoinEUI), dev) }
	s.NwkSKey, s.SNwkSIntKey, s.NwkSEncKey, s.AppSKey = key(c.NwkKey, 1), key(c.NwkKey, 3), key(c.NwkKey, 4), key(c.AppKey, 2)
	s.V11, s.Indicate = true, true
	return s
}

// indications are the MAC commands that go with each uplink until the network
// has confirmed them: RekeyInd (§5.11), ResetInd (§5.2), DeviceModeInd (§18.1).
func (d *Device) indications() (out []byte) {
	if !d.st.V11 {
		return nil
	}
	if d.st.Indicate && !d.has(NoRekey) {
		cid := lorawan.RekeyInd
		if d.cfg.ABP != nil {
			cid = lorawan.ResetInd
		}
		out = append(out, byte(cid), 1)
	}
	if d.cfg.Class == "C" && !d.st.ModeKnown {
		out = append(out, byte(lorawan.DeviceModeInd), byte(lorawan.DeviceModeClassC))
	}
	return out
}

// obey11 carries out the MAC commands of 1.1.
func (d *Device) obey11(c lorawan.MACCommand) {
	if !d.st.V11 {
		return
	}
	switch p := c.Payload.(type) {
	case *lorawan.RekeyConfPayload:
		d.st.Indicate = d.st.Indicate && d.cfg.ABP != nil
	case *lorawan.ResetConfPayload:
		d.st.Indicate = d.st.Indicate && d.cfg.ABP == nil
	case *lorawan.DeviceModeConfPayload:
		d.st.ModeKnown = true
	case *lorawan.ADRParamSetupReqPayload:
		d.st.AckLimit, d.st.AckDelay = 1<<p.ADRParam.LimitExp, 1<<p.ADRParam.DelayExp
		d.say(lorawan.ADRParamSetupAns, nil, false)
	case *lorawan.RejoinParamSetupReqPayload:
		d.st.RejoinTime, d.st.RejoinCount = time.Second<<(p.MaxTimeN+10), 1<<(p.MaxCountN+4)
		d.say(lorawan.RejoinParamSetupAns, &lorawan.RejoinParamSetupAnsPayload{TimeOK: true}, false)
	case *lorawan.ForceRejoinReqPayload:
		if p.RejoinType == 0 || p.RejoinType == 2 { // others are reserved
			d.forced = p
		}
	}
}

// ackLimit and ackDelay are ADR_ACK_LIMIT and ADR_ACK_DELAY.
func (d *Device) ackLimit() int {
	if d.st.AckLimit > 0 {
		return d.st.AckLimit
	}
	return region.ADRAckLimit
}

func (d *Device) ackDelay() int {
	if d.st.AckDelay > 0 {
		return d.st.AckDelay
	}
	return region.ADRAckDelay
}

// rekeyTimeout lets a device begin anew whose keys the network never confirmed
// (§6.2.4.4).
func (d *Device) rekeyTimeout() bool {
	if !d.st.V11 || !d.st.Indicate || d.cfg.ABP != nil || d.st.FCntUp < uint32(d.ackLimit()) {
		return false
	}
	d.log.Warn("the network did not confirm the keys, joining again", "uplinks", d.st.FCntUp)
	d.reset()
	d.save()
	return true
}

// Rejoin sends one rejoin-request of type 0 (session and radio anew), 1 (like
// a join-request, beside the session) or 2 (new keys and address). The error
// wraps ErrNoAccept if no join-accept came: the session goes on.
func (d *Device) Rejoin(ctx context.Context, kind int) error {
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.release()
	return d.rejoin(ctx, lorawan.JoinType(kind), d.st.DataRate)
}

func (d *Device) rejoin(ctx context.Context, kind lorawan.JoinType, dr int) error {
	switch {
	case kind > lorawan.RejoinRequestType2:
		return fmt.Errorf("rejoin: %w: type is %d: 0, 1 or 2 is allowed", ErrConfig, kind)
	case !d.st.Joined || !d.st.V11 || d.cfg.ABP != nil:
		return fmt.Errorf("rejoin: %w: a joined session of LoRaWAN 1.1 is needed", ErrNotJoined)
	}
	frame, count, err := d.rejoinRequest(kind)
	if err != nil {
		return fmt.Errorf("rejoin: %w", err)
	}
	up, channel, err := d.transmit(ctx, func(Channel) ([]byte, error) { return frame, nil }, dr, 0)
	if err != nil {
		return fmt.Errorf("rejoin: %w", err)
	}
	d.emit(Joining{up, count, dr, kind})
	delays := d.region.Delays()
	slots, err := d.windows(up, channel, dr, delays.JoinAccept1, delays.JoinAccept2)
	if err != nil {
		return fmt.Errorf("rejoin: %w", err)
	}
	accepted := false
	if _, err = d.listen(ctx, up, slots, func(a Arrival) bool {
		accepted = d.accept(a, kind, count, dr)
		return accepted || d.receive(a) != nil && a.Window != "RXC"
	}); err != nil {
		return err
	}
	if !accepted {
		return fmt.Errorf("rejoin: %w", ErrNoAccept)
	}
	return nil
}

// rejoinRequest makes the frame (§6.2.4) and uses up its RJcount.
func (d *Device) rejoinRequest(kind lorawan.JoinType) (frame []byte, count uint16, err error) {
	phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.RejoinRequest}}
	counter, key := &d.st.RJCount0, d.st.SNwkSIntKey
	if kind == lorawan.RejoinRequestType1 {
		counter, key = &d.st.RJCount1, d.cfg.jsIntKey()
	}
	if *counter > math.MaxUint16 {
		return nil, 0, fmt.Errorf("%w: RJcount is used up, the device has to join", ErrNonces)
	}
	count = uint16(*counter)
	if kind == lorawan.RejoinRequestType1 {
		phy.MACPayload = &lorawan.RejoinRequestType1Payload{RejoinType: kind, JoinEUI: lorawan.EUI64(d.cfg.JoinEUI), DevEUI: lorawan.EUI64(d.cfg.DevEUI), RJCount1: count}
	} else {
		phy.MACPayload = &lorawan.RejoinRequestType02Payload{RejoinType: kind, NetID: d.st.NetID, DevEUI: lorawan.EUI64(d.cfg.DevEUI), RJCount0: count}
	}
	if err := phy.SetUplinkJoinMIC(lorawan.AES128Key(key)); err != nil {
		return nil, 0, err
	}
	if frame, err = phy.MarshalBinary(); err != nil {
		return nil, 0, err
	}
	if !d.has(SameRJCount) {
		*counter++
	}
	d.st.Since, d.st.SinceTime = 0, d.m.Now()
	d.save()
	return frame, count, nil
}

// rejoinPeriod is the time between the tries of a forced rejoin (§5.14): it is
// doubled Period times, and a random part as long comes on top.
const rejoinPeriod = 32 * time.Second

// rejoinIfDue sends the rejoin-requests that the network asked for.
func (d *Device) rejoinIfDue(ctx context.Context) error {
	if p := d.forced; p != nil {
		d.forced = nil
		return d.forcedRejoin(ctx, p)
	}
	due := d.st.RejoinCount > 0 && (d.st.Since >= d.st.RejoinCount || d.m.Now().Sub(d.st.SinceTime) >= d.st.RejoinTime)
	if !d.st.V11 || d.cfg.ABP != nil || !due && (d.cfg.RejoinEvery == 0 || d.st.Since < d.cfg.RejoinEvery) {
		return nil
	}
	return ignore(d.rejoin(ctx, lorawan.RejoinRequestType0, d.st.DataRate), ErrNoAccept)
}

func (d *Device) forcedRejoin(ctx context.Context, p *lorawan.ForceRejoinReqPayload) error {
	dr := d.st.nearestDR(int(p.DR))
	for n := 0; ; n++ {
		err := d.rejoin(ctx, lorawan.JoinType(p.RejoinType), dr)
		if n >= int(p.MaxRetries) || !errors.Is(err, ErrNoAccept) {
			d.misrejoin(err)
			return ignore(err, ErrNoAccept)
		}
		pause := rejoinPeriod << p.Period
		if err := d.m.Wait(ctx, d.m.Now().Add(pause+time.Duration(d.rnd.Int64N(int64(pause))))); err != nil {
			return err
		}
	}
}

// ignore takes an error for none if it is one that is expected.
func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
