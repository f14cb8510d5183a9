package nsedge

import (
	"context"
	"crypto/aes"
	"fmt"
	"io"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/radio"
)

// askAS lets the AS, which holds the AppKey, make the join-accept.
func (e *Edge) askAS(w *window) func() {
	e.docs.Lock()
	defer e.docs.Unlock()
	if _, failed := e.readJoin(w); failed != nil {
		return failed
	}
	return func() {
		if e.running == nil || w.state >= sent {
			w.dev.busy().joining = false
			return
		}
		w.join.ready = true
		m := e.meta(w.dev, nil, w.hash, w.up.Gateway)
		m.DevAddr = w.join.addr
		e.publish(&JoinRequest{Meta: m, DevAddr: w.join.addr, DevNonce: w.join.nonce, NetID: e.cfg.NetID, CFList: e.cfList(w.join.version)})
	}
}

// answerJoin takes a join_response.
func (e *Edge) answerJoin(a JoinResponse) error {
	w, err := e.findJoin(&a)
	if err != nil {
		return err
	}
	switch {
	case len(a.Accept) != 16 && len(a.Accept) != 32:
		return refuse(CodeJoinResponseInvalid, "accept_payload", "%d bytes: the encrypted join-accept without its MHDR has 16, or 32 with a CFList", len(a.Accept))
	case a.OptNeg && w.dev.spec.Version != version11:
		return refuse(CodeJoinResponseInvalid, "opt_neg", "the device is registered with LoRaWAN %s: set its lorawan_version to 1.1, or answer with nwkskey", w.dev.spec.Version)
	case a.JoinEUI != radio.EUI64{} && a.JoinEUI != w.join.joinEUI:
		return refuse(CodeJoinResponseInvalid, "join_eui", "%v, the device's is %v", a.JoinEUI, w.join.joinEUI)
	case w.join.answered:
		return refuse(CodeJoinResponseUnknown, "packet_hash", "the join_request was answered already")
	case w.state >= sent:
		return &Refusal{
			Code: CodeJoinNoAnswer, Field: "packet_hash", Timing: w.lastSlot().missed(time.Now()),
			Message: "the join_response came too late for both windows: answer sooner, the device will try again",
		}
	}
	w.join.valid = w.dev.validSessions(w.join.kind)
	phy := append([]byte{byte(lorawan.JoinAccept) << 5}, a.Accept...)
	if !e.background(func(context.Context) func() { return e.recordAnswered(w, a.keys(), phy) }) {
		return refuse(CodeServer, "", "%d joins are worked on already: try again", backgroundJobs)
	}
	w.join.answered = true
	e.notice(Info, CodeJoinResponse, e.meta(w.dev, nil, w.hash, w.up.Gateway), "the join response was received")
	return nil
}

// keys are the session's; the AS keeps the AppSKey.
func (a *JoinResponse) keys() keys {
	k := keys10(a.NwkSKey)
	if a.OptNeg {
		k.sIntKey, k.encKey, k.v11 = a.SNwkSIntKey, a.NwkSEncKey, true
	}
	return k
}

func (e *Edge) findJoin(a *JoinResponse) (*window, error) {
	if a.PacketHash != (PacketHash{}) {
		if w := e.windows[a.PacketHash]; w != nil && w.kind == joinWindow && w.join.ready {
			return w, nil
		}
		return nil, refuse(CodeJoinResponseUnknown, "packet_hash", "no join_request %v waits for an answer", a.PacketHash)
	}
	d := e.byEUI[a.Device]
	if d == nil {
		return nil, refuse(CodeDeviceUnknown, "device", "device %v is not registered, and there is no packet_hash", a.Device)
	}
	if d.traffic == nil || d.win == nil || d.win.kind != joinWindow || !d.win.join.ready {
		return nil, refuse(CodeJoinResponseUnknown, "device", "no join_request of device %v waits for an answer", a.Device)
	}
	return d.win, nil
}

// recordAnswered records the session of an answered join and sends the accept.
func (e *Edge) recordAnswered(w *window, k keys, phy []byte) func() {
	e.docs.Lock()
	defer e.docs.Unlock()
	j, failed := e.readJoin(w)
	if failed != nil {
		return failed
	}
	s := e.newJoined(w)
	s.keys = k
	return e.finishJoin(w, &j, s, phy)
}

// newAddr draws a free address of the network.
func (e *Edge) newAddr() (DevAddr, error) {
	const tries = 32 // the MIC decides among devices with the same address
	var a lorawan.DevAddr
	for range tries {
		if _, err := io.ReadFull(e.cfg.Random, a[:]); err != nil {
			return DevAddr{}, fmt.Errorf("no address can be drawn: %w", err)
		}
		a.SetAddrPrefix(lorawan.NetID(e.cfg.NetID))
		if e.byAddr[DevAddr(a)] == nil {
			break
		}
	}
	return DevAddr(a), nil
}

func encryptBlock(key Key, b [16]byte) Key {
	c, err := aes.NewCipher(key[:])
	if err != nil { // never: the key has 16 bytes
		panic(err)
	}
	c.Encrypt(b[:], b[:])
	return b
}
