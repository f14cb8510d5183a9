package enddevice

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// Send transmits one uplink, repeats it as NbTrans or the want of an
// acknowledgement ask for, and listens after each transmission. port is 1 to
// 223; nil payload and port 0 make a frame without either. A confirmed uplink
// that is never acknowledged gives the Result and ErrNoAck.
func (d *Device) Send(ctx context.Context, port uint8, payload []byte, confirmed bool) (Result, error) {
	if err := d.avoidBeacon(ctx); err != nil {
		return Result{}, err
	}
	if err := d.take(ctx); err != nil {
		return Result{}, err
	}
	defer d.release()
	if port > 224 || port == 0 && len(payload) > 0 {
		return Result{}, fmt.Errorf("send: %w: port is %d: 1 to 224 is allowed, or 0 without a payload", ErrConfig, port)
	}
	if !d.st.Joined {
		return Result{}, fmt.Errorf("send: %w: call Join or Run first", ErrNotJoined)
	}
	if d.rekeyTimeout() {
		return Result{}, fmt.Errorf("send: %w: the network did not confirm the keys", ErrNotJoined)
	}
	d.askB()
	d.adrBackOff()
	u, err := d.compose(Data{port, payload, confirmed})
	if err != nil {
		return Result{}, fmt.Errorf("send: %w", err)
	}
	result, err := d.repeat(ctx, u)
	if err != nil {
		return result, fmt.Errorf("send: %w", err)
	}
	wanted := confirmed || u.adrAckReq
	switch {
	case result.Downlink != nil:
		d.unanswer = 0
	case wanted:
		d.unanswer++
	}
	d.st.Since++
	if err := d.rejoinIfDue(ctx); err != nil {
		return result, fmt.Errorf("send: %w", err)
	}
	if d.cfg.RejoinAfter > 0 && d.unanswer >= d.cfg.RejoinAfter && d.cfg.ABP == nil {
		d.log.Warn("network is silent, joining again", "unanswered", d.unanswer)
		d.reset()
		d.save()
	}
	if confirmed && !result.Acked {
		return result, fmt.Errorf("send: uplink %d, %d times: %w", u.fcnt, len(result.Uplinks), ErrNoAck)
	}
	return result, nil
}

// uplink is a data frame ready to be sent.
type uplink struct {
	Data
	phy       lorawan.PHYPayload // encrypted, without its MIC
	fcnt      uint32
	dr        int
	ack       bool
	adrAckReq bool
}

// repeat transmits u until enough was received or it was sent often enough.
func (d *Device) repeat(ctx context.Context, u uplink) (Result, error) {
	result := Result{FCnt: u.fcnt}
	times := max(d.st.NbTrans, 1)
	if u.Confirmed {
		times = max(times, d.cfg.Retries)
	}
	var earliest radio.Instant
	for n := 1; n <= times; n++ {
		if n > 1 && d.has(NewCounterAgain) {
			var err error
			if u, err = d.compose(u.Data); err != nil {
				return result, err
			}
		}
		t, channel, err := d.transmit(ctx, func(c Channel) ([]byte, error) { return d.sign(&u, c) }, u.dr, earliest)
		if err != nil {
			return result, err
		}
		result.Uplinks = append(result.Uplinks, t)
		d.emit(Sent{t, u.fcnt, u.Port, u.dr, n, u.Confirmed, u.ack})
		first := time.Duration(d.st.RX1Delay) * time.Second
		slots, err := d.windows(t, channel, u.dr, first, first+time.Second)
		if err != nil {
			return result, err
		}
		_, err = d.listen(ctx, t, slots, func(a Arrival) bool {
			down := d.receive(a)
			if down == nil {
				return false
			}
			result.Downlink = down
			result.Acked = result.Acked || u.Confirmed && down.ACK
			return a.Window == "RX1" || a.Window == "RX2" // else the device goes on to them
		})
		if err != nil {
			return result, err
		}
		if result.Acked || !u.Confirmed && result.Downlink != nil {
			break
		}
		// RETRANSMIT_TIMEOUT: 2 s ± 1 s after RX2 (RP002 §2.3).
		earliest = d.m.Now().Add(time.Second + time.Duration(d.rnd.Int64N(int64(2*time.Second))))
	}
	return result, nil
}

// compose builds the next uplink and uses up its counter.
func (d *Device) compose(data Data) (uplink, error) {
	u := uplink{Data: data, fcnt: d.st.FCntUp, dr: d.st.DataRate, ack: d.ack}
	if d.cfg.Counter16 && u.fcnt > math.MaxUint16 || u.fcnt == math.MaxUint32 {
		return u, fmt.Errorf("%w: FCntUp is %d; join again", ErrCounter, u.fcnt)
	}
	if !usable(d.st.Channels, u.dr) {
		return u, fmt.Errorf("%w: DR%d", ErrNoChannel, u.dr)
	}
	room := d.region.MaxUplinkPayload(u.dr, d.cfg.revision()) - len(data.Payload)
	data.Payload = d.padded(data.Payload, room)
	if room < 0 {
		return u, fmt.Errorf("%w: %d bytes, DR%d of %s carries %d", ErrPayloadSize, len(data.Payload), u.dr, d.region, room+len(data.Payload))
	}
	u.adrAckReq = d.cfg.ADR && d.unheard >= d.ackLimit() && !d.has(NoADRAckReq)
	mac := &lorawan.MACPayload{FHDR: lorawan.FHDR{
		DevAddr: lorawan.DevAddr(d.st.DevAddr), FCnt: u.fcnt,
		FCtrl: lorawan.FCtrl{ADR: d.cfg.ADR, ADRACKReq: u.adrAckReq, ACK: u.ack, ClassB: d.classB()},
	}}
	if opts := d.options(d.indications(), min(room, maxOptions)); len(opts) > 0 {
		mac.FHDR.FOpts = []lorawan.Payload{&lorawan.DataPayload{Bytes: opts}}
	}
	if data.Port != 0 {
		mac.FPort = &data.Port
		mac.FRMPayload = []lorawan.Payload{&lorawan.DataPayload{Bytes: data.Payload}}
	}
	var err error
	if u.phy, err = d.seal(mac, data.Confirmed); err != nil {
		return u, err
	}
	if !d.has(FrozenCounter) {
		d.st.FCntUp++
	}
	d.ack = d.ack && d.has(AcksForever)
	d.unheard++
	d.save()
	return u, nil
}

// seal encrypts an uplink.
func (d *Device) seal(mac *lorawan.MACPayload, confirmed bool) (lorawan.PHYPayload, error) {
	phy := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.UnconfirmedDataUp}, MACPayload: mac}
	if confirmed {
		phy.MHDR.MType = lorawan.ConfirmedDataUp
	}
	if err := phy.EncryptFRMPayload(lorawan.AES128Key(d.st.AppSKey)); err != nil {
		return phy, fmt.Errorf("encrypt: %w", err)
	}
	if d.st.V11 && !d.has(PlainFOpts) {
		if err := phy.EncryptFOpts(d.st.encryption()); err != nil {
			return phy, fmt.Errorf("encrypt: %w", err)
		}
	}
	return phy, nil
}

// sign makes the bytes of an uplink; in LoRaWAN 1.1 the MIC depends on the
// channel.
func (d *Device) sign(u *uplink, c Channel) ([]byte, error) {
	if err := u.phy.SetUplinkDataMIC(d.st.macVersion(), d.st.ConfDown, uint8(u.dr), uint8(c.Index), lorawan.AES128Key(d.st.NwkSKey), d.st.integrity()); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	frame, err := u.phy.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return frame, nil
}

// adrBackOff makes the device heard again when the network is silent (§4.3.1.1):
// after ADR_ACK_LIMIT and ADR_ACK_DELAY uplinks first full power, then a step
// down in data rate every ADR_ACK_DELAY, at last all default channels.
func (d *Device) adrBackOff() {
	over, delay := d.unheard-d.ackLimit(), d.ackDelay()
	if !d.cfg.ADR || d.has(NoBackOff) || over < delay || over%delay != 0 {
		return
	}
	switch lower := d.lowerDR(); {
	case d.st.TXPower != 0:
		d.st.TXPower = 0
	case lower != d.st.DataRate:
		d.st.DataRate = lower
	default:
		d.st.NbTrans = 1
		d.enableDefaults()
	}
	d.log.Debug("no downlink, stepping back", "unheard", d.unheard, "dr", d.st.DataRate)
}

// lowerDR returns the next lower data rate of the enabled channels, or the
// current one if there is none.
func (d *Device) lowerDR() int {
	for dr := d.st.DataRate - 1; dr >= 0; dr-- {
		if usable(d.st.Channels, dr) && d.region.MaxUplinkPayload(dr, d.cfg.revision()) > 0 {
			return dr
		}
	}
	return d.st.DataRate
}
