package enddevice

import (
	"fmt"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// Group is a multicast group that the device belongs to. It never sends as the
// group, and acknowledges nothing.
type Group struct {
	DevAddr DevAddr
	NwkSKey Key
	AppSKey Key

	Class       string      // "B" or "C", which must be the device's
	Periodicity int         // of ping slots, class B
	Freq        radio.Hertz // of ping slots, or of RXC in place of RX2's; 0 is the region's, or RX2's
	DataRate    *int        // likewise
}

// check tells what is wrong with the groups.
func (c *Config) checkGroups(bad func(field string, value any, wanted string) error) error {
	for i, g := range c.Groups {
		field := fmt.Sprintf("Groups[%d]", i)
		switch {
		case g.Class != c.Class || g.Class == "A":
			return bad(field+".Class", g.Class, "the device's is wanted, B or C")
		case g.Periodicity < 0 || g.Periodicity > 7:
			return bad(field+".Periodicity", g.Periodicity, "0 to 7 is allowed")
		}
	}
	return nil
}

// receiveGroup takes a downlink to a group; nil means that it is none of the
// device's, was rejected, or came before.
func (d *Device) receiveGroup(a Arrival, phy *lorawan.PHYPayload, mac *lorawan.MACPayload) *Downlink {
	for i := range d.cfg.Groups {
		g := &d.cfg.Groups[i]
		if g.DevAddr != DevAddr(mac.FHDR.DevAddr) || d.has(DeafGroup) {
			continue
		}
		down, err := d.openGroup(a, phy, mac, i)
		if err != nil {
			d.emit(Rejected{a, err})
			return nil
		}
		d.misgroup(down)
		if down != nil {
			d.save()
			d.emit(Received{*down})
		}
		return down
	}
	return nil
}

// openGroup checks counter and MIC of a frame to a group, and decrypts it. nil
// is a repetition.
func (d *Device) openGroup(a Arrival, phy *lorawan.PHYPayload, mac *lorawan.MACPayload, i int) (*Downlink, error) {
	g := &d.cfg.Groups[i]
	for len(d.st.GroupDown) <= i {
		d.st.GroupDown = append(d.st.GroupDown, 0)
	}
	next := d.st.GroupDown[i]
	full := next&^0xFFFF | mac.FHDR.FCnt&0xFFFF
	if full < next && !d.has(GroupReplays) {
		if next-full <= 0x8000 {
			return nil, nil // sent again
		}
		full += 0x1_0000
	}
	mac.FHDR.FCnt = full
	if ok, err := phy.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, lorawan.AES128Key(g.NwkSKey)); (err != nil || !ok) && !d.has(GroupMIC) {
		return nil, fmt.Errorf("downlink to group %v: MIC is wrong with counter %d", g.DevAddr, full)
	}
	if phy.MHDR.MType != lorawan.UnconfirmedDataDown || len(mac.FHDR.FOpts) > 0 || mac.FPort == nil || *mac.FPort == 0 {
		return nil, fmt.Errorf("downlink to group %v: confirmed, or with MAC commands", g.DevAddr)
	}
	plain, err := lorawan.EncryptFRMPayload(lorawan.AES128Key(g.AppSKey), false, mac.FHDR.DevAddr, full, raw(mac.FRMPayload))
	if err != nil {
		return nil, fmt.Errorf("downlink to group %v: decrypt: %w", g.DevAddr, err)
	}
	d.st.GroupDown[i] = full + 1
	return &Downlink{Arrival: a, FCnt: full, Port: *mac.FPort, Payload: plain, Pending: mac.FHDR.FCtrl.FPending, Group: g}, nil
}

// rxcChannel is where a class C device listens between its windows: RX2, or
// where its group is.
func (d *Device) rxcChannel() (radio.Hertz, int) {
	freq, dr := d.st.RX2Freq, d.st.RX2DR
	for _, g := range d.cfg.Groups {
		if g.Class == "C" && g.Freq != 0 {
			freq = g.Freq
		}
		if g.Class == "C" && g.DataRate != nil {
			dr = *g.DataRate
		}
	}
	return freq, dr
}
