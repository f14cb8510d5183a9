package enddevice

import (
	"errors"
	"fmt"

	"github.com/brocaar/lorawan"
)

// maxGap is how far a downlink counter may jump (MAX_FCNT_GAP of LoRaWAN
// 1.0.2 and 1.0.3; 1.0.4 has no limit).
const maxGap = 16_384

// receive takes a data downlink. nil means that it was not for this device, or
// was rejected.
func (d *Device) receive(a Arrival) *Downlink {
	var phy lorawan.PHYPayload
	if err := phy.UnmarshalBinary(a.Payload); err != nil {
		return nil // noise, or not LoRaWAN
	}
	mac, ok := phy.MACPayload.(*lorawan.MACPayload)
	if !ok || phy.MHDR.MType != lorawan.UnconfirmedDataDown && phy.MHDR.MType != lorawan.ConfirmedDataDown {
		return nil
	}
	if DevAddr(mac.FHDR.DevAddr) != d.st.DevAddr {
		return d.receiveGroup(a, &phy, mac)
	}
	down, err := d.open(a, &phy, mac)
	if err != nil {
		d.log.Debug("downlink rejected", "err", err)
		d.emit(Rejected{a, err})
		return nil
	}
	*d.counterOf(down.Port > 0) = down.FCnt + 1
	if down.Confirmed {
		d.st.ConfDown = down.FCnt
	}
	d.unheard = 0
	if !a.between() {
		d.dropSticky()
	}
	d.ack = d.ack || down.Confirmed && !d.has(NeverAcks)
	d.obey(down.Commands, a.SNR)
	d.obeyB(down)
	d.save()
	d.emit(Received{*down})
	return down
}

// open checks counter and MIC, and decrypts.
func (d *Device) open(a Arrival, phy *lorawan.PHYPayload, mac *lorawan.MACPayload) (*Downlink, error) {
	fcnt, err := d.fullCounter(uint16(mac.FHDR.FCnt), mac.FPort != nil && *mac.FPort > 0)
	if err != nil {
		return nil, err
	}
	mac.FHDR.FCnt = fcnt
	if ok, err := phy.ValidateDownlinkDataMIC(d.st.macVersion(), d.st.FCntUp-1, d.st.integrity()); (err != nil || !ok) && !d.has(AcceptsWrongMIC) {
		return nil, fmt.Errorf("downlink: MIC is wrong with counter %d", fcnt)
	}
	down := &Downlink{
		Arrival: a, FCnt: fcnt, Confirmed: phy.MHDR.MType == lorawan.ConfirmedDataDown,
		ACK: mac.FHDR.FCtrl.ACK, Pending: mac.FHDR.FCtrl.FPending,
	}
	if d.st.V11 {
		if err := phy.EncryptFOpts(d.st.encryption()); err != nil { // decrypts
			return nil, fmt.Errorf("downlink: decrypt: %w", err)
		}
	}
	options := raw(mac.FHDR.FOpts)
	if mac.FPort != nil {
		key := lorawan.AES128Key(d.st.AppSKey)
		if *mac.FPort == 0 && !d.has(WrongPort0Key) {
			key = d.st.encryption()
		}
		plain, err := lorawan.EncryptFRMPayload(key, false, mac.FHDR.DevAddr, fcnt, raw(mac.FRMPayload))
		if err != nil {
			return nil, fmt.Errorf("downlink: decrypt: %w", err)
		}
		if *mac.FPort == 0 {
			options = plain
		} else {
			down.Port, down.Payload = *mac.FPort, plain
		}
	}
	if len(options) > 0 && d.cfg.Version == "1.0.4" && a.between() {
		return nil, errors.New("downlink: MAC commands in RXC or in a ping slot") // TS001-1.0.4 §9.3.1, §15
	}
	down.Commands = commands(options)
	return down, nil
}

// fullCounter returns the lowest counter with these low bits that may come
// next (§4.3.1.5).
func (d *Device) fullCounter(low uint16, app bool) (uint32, error) {
	next := d.nextCounter(app)
	full := next&^0xFFFF | uint32(low)
	if full < next && !d.cfg.Counter16 {
		full += 0x1_0000
	}
	if d.has(AcceptsReplays) && full-next > maxGap {
		return next&^0xFFFF | uint32(low), nil
	}
	if full < next {
		return 0, fmt.Errorf("downlink: counter %d was used: %d is the next", low, next)
	}
	if gap := full - next; !d.cfg.counts() && gap >= maxGap {
		return 0, fmt.Errorf("downlink: counter %d was used, or is %d beyond the next, %d", low, gap, next)
	}
	return full, nil
}

// raw returns the bytes of undecoded payloads.
func raw(payloads []lorawan.Payload) []byte {
	var out []byte
	for _, p := range payloads {
		if data, ok := p.(*lorawan.DataPayload); ok {
			out = append(out, data.Bytes...)
		}
	}
	return out
}

// errCommand ends the decoding of MAC commands.
var errCommand = errors.New("unknown or cut MAC command")

// commands decodes MAC commands up to the first one that is unknown, as its
// length is not known either (§5).
func commands(b []byte) (out []lorawan.MACCommand) {
	for len(b) > 0 {
		c, n, err := command(b)
		if err != nil {
			break
		}
		out = append(out, c)
		b = b[n:]
	}
	return out
}

// command decodes the first MAC command of b and returns its length.
func command(b []byte) (lorawan.MACCommand, int, error) {
	c := lorawan.MACCommand{CID: lorawan.CID(b[0])}
	if c.CID == lorawan.DevStatusReq || c.CID == lorawan.PingSlotInfoAns {
		return c, 1, nil
	}
	payload, size, err := lorawan.GetMACPayloadAndSize(false, c.CID)
	if err != nil || len(b) < 1+size {
		return c, 0, errCommand
	}
	if err := payload.UnmarshalBinary(b[1 : 1+size]); err != nil {
		return c, 0, errCommand
	}
	c.Payload = payload
	return c, 1 + size, nil
}
