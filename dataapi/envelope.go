package dataapi

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// protocolVersion is meta.version.
const protocolVersion = 1

// shape is what a subscriber wants to see in a message: a message is encoded
// once for each shape that somebody wants.
type shape uint8

const (
	withRadio shape = 1 << iota
	withLoRa
	withNumbers // modulation.type as a number, as very old messages had it

	shapes = 8

	replayed shape = 8 // not of live messages: sets meta.history
)

// of is the shape that counts for messages of a type: most have just one.
func (s shape) of(k kind) shape {
	switch {
	case k&(uplink|downlink) == 0:
		return s & replayed
	case s&withRadio == 0:
		return s &^ withNumbers
	}
	return s
}

// Position of a gateway.
type Position struct {
	Lat, Lng float64 // degrees
	Altitude int     // metres
}

// encoder turns events into messages.
type encoder struct {
	network  string                                  // meta.network
	position func(radio.EUI64) (p Position, ok bool) // nil if unknown
	made     func(text []byte)                       // tests look at each message here; nil otherwise
}

// packetID is unique per message.
type packetID [16]byte

func newPacketID() packetID { return packetID(randomBytes(len(packetID{}))) }

// event encodes one event as the object {"type", "meta", "params"}.
func (e *encoder) event(ev nsedge.Event, id packetID, s shape) []byte {
	w := &writer{b: make([]byte, 0, 1024)}
	w.begin()
	w.text("type", kindOf(ev).String())
	e.meta(w, ev, id, s)
	w.open("params")
	switch ev := ev.(type) {
	case *nsedge.UplinkEvent:
		e.uplink(w, ev, s)
	case *nsedge.DownlinkEvent:
		e.downlink(w, ev, s)
	case *nsedge.DownlinkRequest:
		encodeDownlinkRequest(w, ev)
	case *nsedge.JoinRequest:
		encodeJoinRequest(w, ev)
	case *nsedge.StatusResponse:
		encodeStatusResponse(w, ev)
	case *nsedge.Location:
		encodeLocation(w, ev)
	case *nsedge.Notice:
		encodeNotice(w, ev)
	}
	w.end()
	w.end()
	if e.made != nil {
		e.made(w.b)
	}
	return w.b
}

// meta of a message that is tied to no device holds just the time, and the
// packet hash if one was named.
func (e *encoder) meta(w *writer, ev nsedge.Event, id packetID, s shape) {
	m := *ev.About()
	if join, ok := ev.(*nsedge.JoinRequest); ok {
		m.DevAddr = join.DevAddr
	}
	w.open("meta")
	if m.Device != (radio.EUI64{}) {
		w.text("network", e.network)
		if _, notice := ev.(*nsedge.Notice); !notice || m.Application != (radio.EUI64{}) { // else it may be unknown
			w.hex("application", m.Application[:])
		}
		w.hex("device", m.Device[:])
		if m.DevAddr != (nsedge.DevAddr{}) {
			w.hex("device_addr", m.DevAddr[:])
		}
		if m.Gateway != (radio.EUI64{}) {
			w.hex("gateway", m.Gateway[:])
		}
		w.hex("packet_id", id[:])
		w.list("tags")
		for _, tag := range m.Tags {
			w.element()
			w.b = appendText(w.b, tag)
		}
		w.endList()
		w.int("version", protocolVersion)
	}
	if m.PacketHash != (nsedge.PacketHash{}) {
		w.hex("packet_hash", m.PacketHash[:])
	}
	w.unix("time", m.Time)
	if s&replayed != 0 {
		w.bool("history", true)
	}
	w.end()
}

// writer appends JSON. Its methods take the member's name first.
type writer struct{ b []byte }

// element puts the comma where one is due.
func (w *writer) element() {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' && w.b[n-1] != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) key(name string) {
	w.element()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) begin()           { w.element(); w.b = append(w.b, '{') }
func (w *writer) end()             { w.b = append(w.b, '}') }
func (w *writer) open(name string) { w.key(name); w.b = append(w.b, '{') }
func (w *writer) list(name string) { w.key(name); w.b = append(w.b, '[') }
func (w *writer) endList()         { w.b = append(w.b, ']') }

func (w *writer) text(name, v string) { w.key(name); w.b = appendText(w.b, v) }

func (w *writer) hex(name string, v []byte) {
	w.key(name)
	w.b = append(w.b, '"')
	w.b = hex.AppendEncode(w.b, v)
	w.b = append(w.b, '"')
}

func (w *writer) base64(name string, v []byte) {
	w.key(name)
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, v)
	w.b = append(w.b, '"')
}

func (w *writer) int(name string, v int64) { w.key(name); w.b = strconv.AppendInt(w.b, v, 10) }
func (w *writer) bool(name string, v bool) { w.key(name); w.b = strconv.AppendBool(w.b, v) }

// float writes v with at most that many decimals; what is no number becomes 0.
func (w *writer) float(name string, v float64, decimals int) {
	w.key(name)
	scale := math.Pow10(decimals)
	if v = math.Round(v*scale) / scale; math.IsNaN(v) || math.IsInf(v, 0) || v == 0 {
		v = 0 // also no "-0"
	}
	w.b = strconv.AppendFloat(w.b, v, 'f', -1, 64)
}

// millionths writes v/10^6 exactly: µs as seconds, Hz as MHz.
func (w *writer) millionths(name string, v int64) {
	w.key(name)
	if v < 0 {
		w.b = append(w.b, '-')
		v = -v
	}
	w.b = strconv.AppendInt(w.b, v/1e6, 10)
	fraction := v % 1e6
	if fraction == 0 {
		return
	}
	var digits [6]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + fraction%10)
		fraction /= 10
	}
	w.b = append(w.b, '.')
	w.b = append(w.b, bytes.TrimRight(digits[:], "0")...)
}

// unix writes seconds since 1970 with microseconds.
func (w *writer) unix(name string, t time.Time) {
	w.millionths(name, t.Round(time.Microsecond).UnixMicro())
}

// any writes what encoding/json makes of v, an empty object if it can't.
func (w *writer) any(name string, v any) {
	text, err := json.Marshal(v)
	if err != nil || string(text) == "null" {
		text = []byte("{}")
	}
	w.key(name)
	w.b = append(w.b, text...)
}

// appendText writes a JSON string; plain ASCII needs no allocation.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // strings always marshal
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
