package nsedge

import (
	"testing"
	"time"

	"github.com/brocaar/lorawan"
)

// asJoin11 plays the AS that holds NwkKey and AppKey, by brocaar/lorawan and
// the derivations of the test kit.
func (n *node) asJoin11(req *JoinRequest, optNeg bool) JoinResponse {
	b, v := n.b, n.v11
	a := &lorawan.JoinAcceptPayload{
		JoinNonce: 77, HomeNetID: lorawan.NetID(req.NetID), DevAddr: lorawan.DevAddr(req.DevAddr),
		DLSettings: lorawan.DLSettings{OptNeg: optNeg}, RXDelay: 1,
	}
	sign := lorawan.AES128Key(v.nwkKey)
	if optNeg {
		sign = v.jsInt(n.eui)
	}
	p := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.JoinAccept}, MACPayload: a}
	b.must(p.SetDownlinkJoinMIC(lorawan.JoinRequestType, lorawan.EUI64(n.app), lorawan.DevNonce(req.DevNonce), sign))
	b.must(p.EncryptJoinAcceptPayload(lorawan.AES128Key(v.nwkKey)))
	phy, err := p.MarshalBinary()
	b.must(err)
	out := JoinResponse{PacketHash: req.PacketHash, Accept: phy[1:]}
	if optNeg {
		n.addr, n.up = req.DevAddr, 0
		n.begin11(a, req.DevNonce)
		out.OptNeg, out.NwkSKey, out.SNwkSIntKey, out.NwkSEncKey, out.JoinEUI = true, n.nwk, v.sInt, v.enc, n.app
		return out
	}
	out.NwkSKey, _ = sessionKeys(v.nwkKey, 77, req.NetID, req.DevNonce)
	return out
}

func TestAnASWithTheKeysMakesA11Session(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode11(b, 1)
		d := n.otaa(KeysAtApp)
		d.Version = version11
		b.register(d)
		n.hear(n.joinRequest())
		a := n.asJoin11(one[*JoinRequest](t, b.take()), true)
		bad := a
		bad.JoinEUI[0]++
		b.refused(bad, CodeJoinResponseInvalid)
		b.answer(a)
		time.Sleep(7 * time.Second)
		b.air.clear()
		n.rekey()
		n.send(frame{payload: []byte("x"), confirmed: true})
		evs := b.take()
		if up := one[*UplinkEvent](t, evs); up.Payload != nil || string(crypt(n.ses, true, n.addr, up.Counter, up.Encrypted)) != "x" {
			t.Errorf("uplink %+v", up)
		}
		req := one[*DownlinkRequest](t, evs)
		b.answer(DownlinkResponse{PacketHash: req.PacketHash, Encrypted: crypt(n.ses, false, n.addr, req.Counter, []byte("down"))})
		time.Sleep(4 * time.Second)
		if got := n.onlyDownlink(); string(got.payload) != "down" || got.mac.FHDR.FCnt != 0 {
			t.Errorf("downlink %+v", got)
		}
		b.take()
		phy, _ := n.rejoinRequest(lorawan.RejoinRequestType0)
		n.hear(phy)
		wantNotice(t, b.take(), Warning, CodeRejoinUnsupported)
	})
}

// Without OptNeg a device of 1.1 is one of 1.0 until its next join.
func TestAnASMayMakeA10SessionForADeviceOf11(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode11(b, 1)
		d := n.otaa(KeysAtApp)
		d.Version = version11
		b.register(d)
		n.hear(n.joinRequest())
		b.answer(n.asJoin11(one[*JoinRequest](t, b.take()), false))
		time.Sleep(7 * time.Second)
		phy := b.air.frames()[0].Payload
		b.air.clear()
		n.appKey, n.v11 = n.v11.nwkKey, nil
		n.accept(phy)
		n.send(frame{payload: []byte("x"), confirmed: true})
		one[*UplinkEvent](t, b.take())
		time.Sleep(4 * time.Second)
		n.onlyDownlink()
	})
}

func TestASessionOf11IsNotGivenToADeviceOf10(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode11(b, 1)
		b.register(n.otaa(KeysAtApp))
		n.hear(n.joinRequest())
		b.refused(n.asJoin11(one[*JoinRequest](t, b.take()), true), CodeJoinResponseInvalid)
	})
}
