package dataapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// message is what an AS sent, understood.
type message struct {
	kind   string
	fields fields // its meta object
	answer nsedge.Answer
}

// answerTypes are the types that an AS may send.
const answerTypes = "downlink_response, downlink_claim, join_response and status_request"

// decode reads one text frame. It is strict on the types of what it uses and
// ignores the rest: clients copy whole meta objects, some with odd types. The
// message is usable for its kind and meta also where there is an error.
func (e *encoder) decode(text []byte) (message, error) {
	var m message
	if !utf8.Valid(text) {
		return m, &problem{http.StatusBadRequest, codeBadJSON, "", "the message is not UTF-8 text"}
	}
	env, err := object("message", text)
	if err != nil {
		return m, &problem{http.StatusBadRequest, codeBadJSON, "", `not a JSON object: ` + reason(err) + `; a message is {"type": …, "meta": {…}, "params": {…}}`}
	}
	if m.kind, err = env.text("type"); err != nil {
		return m, err
	}
	metaObject, metaErr := env.object("meta")
	m.fields = metaObject
	params, paramsErr := env.object("params")
	switch m.kind {
	case "downlink_response", "join_response":
		if paramsErr != nil {
			return m, paramsErr
		}
	case "downlink_claim", "status_request", "status":
	case "":
		return m, missingField("type", "%s are allowed", answerTypes)
	default:
		return m, &problem{http.StatusBadRequest, codeUnknownType, "type", "type: " + shown(m.kind) + " is not for applications to send; allowed are " + answerTypes}
	}
	if metaErr != nil {
		return m, metaErr
	}
	switch m.kind {
	case "downlink_response":
		m.answer, err = decodeDownlinkResponse(metaObject, params)
	case "join_response":
		m.answer, err = decodeJoinResponse(metaObject, params)
	case "downlink_claim":
		m.answer, err = e.decodeClaim(metaObject)
	default:
		m.answer, err = decodeStatusRequest(metaObject)
	}
	return m, err
}

// meta is what of the message's meta can be read; it goes back in an error
// about the message.
func (m message) meta() (out nsedge.Meta) {
	for _, f := range []struct {
		name string
		into []byte
	}{{"application", out.Application[:]}, {"device", out.Device[:]}, {"device_addr", out.DevAddr[:]}, {"gateway", out.Gateway[:]}, {"packet_hash", out.PacketHash[:]}} {
		if b, err := m.fields.hex(f.name, len(f.into)); err == nil {
			copy(f.into, b)
		}
	}
	return out
}

// address reads what an answer is matched by: the packet hash alone, or the
// device where there is no hash.
func address(meta fields) (hash nsedge.PacketHash, device radio.EUI64, err error) {
	b, err := meta.hex("packet_hash", len(hash))
	if err != nil {
		return hash, device, err
	}
	copy(hash[:], b)
	d, err := meta.hex("device", len(device))
	if hash != (nsedge.PacketHash{}) {
		copy(device[:], d) // of no consequence: the hash decides
		return hash, device, nil
	}
	if err == nil && d == nil {
		err = missingField("meta.packet_hash", "send back the meta of the request, or at least its packet_hash (32 hex digits)")
	}
	copy(device[:], d)
	return hash, device, err
}

// maxMAC is how many bytes of MAC commands fit into a frame header (FOpts).
const maxMAC = 15

func decodeDownlinkResponse(meta, params fields) (nsedge.Answer, error) {
	var (
		r   nsedge.DownlinkResponse
		err error
	)
	if r.PacketHash, r.Device, err = address(meta); err != nil {
		return nil, err
	}
	if r.Payload, err = params.base64("payload"); err != nil {
		return nil, err
	}
	if r.Encrypted, err = params.base64("encrypted_payload"); err != nil {
		return nil, err
	}
	switch {
	case len(r.Payload) > 0 && len(r.Encrypted) > 0:
		return nil, badField("params.payload", "stands beside params.encrypted_payload; give one of them")
	case r.Payload == nil && r.Encrypted == nil:
		return nil, missingField("params.payload", "give payload (base64) or encrypted_payload (base64); an empty payload is \"\"")
	case len(r.Encrypted) > 0:
		r.Payload = nil
	case r.Payload != nil:
		r.Encrypted = nil
	}
	r.HasPayload = r.Payload != nil
	port, given, err := params.int("port", 0, 224)
	if err != nil {
		return nil, err
	}
	if r.Port = 1; given {
		r.Port = uint8(port)
	}
	if given && port == 0 {
		switch n := len(r.Payload); {
		case len(r.Encrypted) > 0:
			return nil, badField("params.encrypted_payload", "goes to an application's port; MAC commands for port 0 are encrypted by the network server: give payload")
		case n == 0 || n > maxMAC:
			return nil, badField("params.payload", "%d bytes; with port 0 it is 1 to %d bytes of MAC commands", n, maxMAC)
		}
		r.MAC, r.Payload, r.HasPayload = r.Payload, nil, false
	}
	counter, given, err := params.int("counter_down", 0, 1<<32-1)
	if err != nil {
		return nil, err
	}
	if given {
		c := uint32(counter)
		r.Counter = &c
	}
	return r, params.bools(map[string]*bool{"confirmed": &r.Confirmed, "pending": &r.Pending, "queue_if_late": &r.QueueIfLate})
}

func decodeJoinResponse(meta, params fields) (nsedge.Answer, error) {
	var (
		r   nsedge.JoinResponse
		err error
	)
	if r.PacketHash, r.Device, err = address(meta); err != nil {
		return nil, err
	}
	if err := decodeKeys11(&r, params); err != nil {
		return nil, err
	}
	if r.Accept, err = params.base64("accept_payload"); err != nil {
		return nil, err
	}
	switch len(r.Accept) {
	case 16, 32:
		return r, nil
	case 17, 33:
		return nil, badField("params.accept_payload", "%d bytes; the join-accept goes without its MHDR byte: 16 bytes, or 32 with a CFList", len(r.Accept))
	case 0:
		return nil, missingField("params.accept_payload", "base64 of the encrypted join-accept without its MHDR byte is wanted")
	}
	return nil, badField("params.accept_payload", "%d bytes; 16 are wanted, or 32 with a CFList", len(r.Accept))
}

func decodeStatusRequest(meta fields) (nsedge.Answer, error) {
	device, gateway, err := target(meta)
	if err != nil {
		return nil, err
	}
	return nsedge.StatusRequest{Device: device, Gateway: gateway}, nil
}

func (e *encoder) decodeClaim(meta fields) (nsedge.Answer, error) {
	device, gateway, err := target(meta)
	if err != nil {
		return nil, err
	}
	network, err := meta.text("network")
	if err != nil {
		return nil, err
	}
	if network != "" && !strings.EqualFold(network, e.network) {
		return nil, &problem{http.StatusNotFound, codeUnknownNetwork, "meta.network", "meta.network: " + shown(network) + " is not served here; leave it out or send " + e.network}
	}
	return nsedge.Claim{Device: device, Gateway: gateway, Network: network}, nil
}

// target reads meta.device, which must be there, and meta.gateway.
func target(meta fields) (device radio.EUI64, gateway *radio.EUI64, err error) {
	d, err := meta.hex("device", len(device))
	if err != nil {
		return device, nil, err
	}
	if d == nil {
		return device, nil, missingField("meta.device", "16 hex digits of the DevEUI are wanted")
	}
	copy(device[:], d)
	g, err := meta.hex("gateway", 8)
	if err != nil || g == nil {
		return device, nil, err
	}
	return device, (*radio.EUI64)(g), nil
}

// decodeBase64 reads the standard alphabet with or without padding.
func decodeBase64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// reason says what encoding/json found in place of an object.
func reason(err error) string {
	if other, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "it is of the type " + other.Value
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// object reads a JSON object; null is an empty one.
func object(path string, text []byte) (fields, error) {
	f := fields{path: path}
	err := json.Unmarshal(text, &f.m)
	return f, err
}
