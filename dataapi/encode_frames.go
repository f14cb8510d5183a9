package dataapi

import (
	"math"
	"strconv"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

func (e *encoder) uplink(w *writer, ev *nsedge.UplinkEvent, s shape) {
	w.unix("rx_time", ev.RXTime)
	w.int("counter_up", int64(ev.Counter))
	w.int("port", int64(ev.Port))
	if plaintextKnown(ev.Payload, ev.Encrypted) {
		w.base64("payload", ev.Payload)
	}
	w.base64("encrypted_payload", ev.Encrypted)
	w.bool("duplicate", ev.Duplicate)
	if s&withRadio != 0 {
		e.radio(w, ev.Gateway, ev.Radio, s, false)
	}
	if s&withLoRa != 0 {
		encodeFrame(w, ev.Frame, false)
	}
}

func (e *encoder) downlink(w *writer, ev *nsedge.DownlinkEvent, s shape) {
	w.int("counter_down", int64(ev.Counter))
	w.int("port", int64(ev.Port))
	if plaintextKnown(ev.Payload, ev.Encrypted) {
		w.base64("payload", ev.Payload)
	}
	w.base64("encrypted_payload", ev.Encrypted)
	encodeTiming(w, ev.Timing)
	if s&withRadio != 0 {
		e.radio(w, ev.Gateway, ev.Radio, s, true)
	}
	if s&withLoRa != 0 {
		encodeFrame(w, ev.Frame, true)
	}
}

// plaintextKnown: no plaintext is ever invented, but that of nothing is known.
func plaintextKnown(payload, encrypted []byte) bool { return payload != nil || len(encrypted) == 0 }

// radio writes params.radio. Levels are rounded: clients decode integers.
func (e *encoder) radio(w *writer, gateway radio.EUI64, r nsedge.RadioInfo, s shape, down bool) {
	w.open("radio")
	w.millionths("freq", int64(r.Freq))
	if r.DataRate >= 0 {
		w.int("datarate", int64(r.DataRate))
	}
	w.unix("time", r.Time)
	if r.GPSTime > 0 {
		w.int("gps_time", r.GPSTime.Milliseconds())
	}
	w.millionths("delay", r.Delay.Round(time.Microsecond).Microseconds())
	w.int("size", int64(r.Size))
	if down {
		w.text("datr", shortDataRate(r.Mod))
	}
	encodeModulation(w, r, s, down)
	w.open("hardware")
	w.int("tmst", int64(r.Tmst))
	w.int("channel", int64(r.IFChain))
	w.int("chain", int64(r.RFChain))
	if down {
		w.int("power", int64(math.Round(float64(r.Power))))
	} else {
		w.int("status", crcStatus(r.CRC))
		w.int("rssi", int64(math.Round(float64(r.RSSI))))
		w.float("snr", float64(r.SNR), 2)
	}
	if e.position != nil {
		if p, ok := e.position(gateway); ok {
			w.open("gps")
			w.float("lat", p.Lat, 7)
			w.float("lng", p.Lng, 7)
			w.int("alt", int64(p.Altitude))
			w.end()
		}
	}
	w.end()
	w.end()
}

// crcStatus is what packet forwarders write: 1 good, -1 bad, 0 none.
func crcStatus(c radio.CRC) int64 {
	switch c {
	case radio.GoodCRC:
		return 1
	case radio.BadCRC:
		return -1
	}
	return 0
}

// Numbers of the modulations in very old messages.
const (
	numberOfLoRa = 0
	numberOfFSK  = 1
)

func encodeModulation(w *writer, r nsedge.RadioInfo, s shape, down bool) {
	kind := func(text string, number int64) {
		if s&withNumbers != 0 {
			w.int("type", number)
		} else {
			w.text("type", text)
		}
	}
	w.open("modulation")
	switch m := r.Mod.(type) {
	case radio.LoRa:
		kind("LORA", numberOfLoRa)
		w.int("bandwidth", int64(m.Bandwidth))
		w.int("spreading", int64(m.SF))
		w.text("coderate", "4/"+strconv.Itoa(int(m.Rate())+4))
	case radio.FSK:
		kind("FSK", numberOfFSK)
		w.int("bitrate", int64(m.BitRate))
	}
	if down {
		w.bool("inverted", r.Inverted)
	}
	w.end()
}

// shortDataRate is "SF12BW125", or "FSK50000".
func shortDataRate(mod radio.Modulation) string {
	switch m := mod.(type) {
	case radio.LoRa:
		return m.DataRate()
	case radio.FSK:
		return "FSK" + strconv.Itoa(m.BitRate)
	}
	return ""
}

// encodeFrame writes params.lora.
func encodeFrame(w *writer, f nsedge.FrameInfo, down bool) {
	w.open("lora")
	w.open("header")
	w.int("type", int64(f.MType))
	w.int("version", int64(f.Major))
	w.bool("confirmed", f.Confirmed)
	w.bool("adr", f.ADR)
	w.bool("ack", f.ACK)
	if down {
		w.bool("pending", f.Pending)
	} else {
		w.bool("adr_ack_req", f.ADRACKReq)
		w.bool("class_b", f.ClassB)
	}
	w.end()
	w.list("mac_commands")
	for _, c := range f.MACCommands {
		w.begin()
		w.any(c.Name, c.Value)
		w.end()
	}
	w.endList()
	w.end()
}

// encodeTiming writes params.timing, the proof of one downlink: µs on the
// gateway's counter, the margin in seconds. Where no window was met, there is
// none.
func encodeTiming(w *writer, t nsedge.Timing) {
	if t.Window == "" {
		return
	}
	w.open("timing")
	w.text("window", t.Window)
	w.int("planned", int64(t.Planned))
	for _, f := range []struct {
		name string
		at   radio.Instant
	}{{"armed", t.Armed}, {"started", t.Started}, {"ended", t.Ended}} {
		if f.at != 0 {
			w.int(f.name, int64(f.at))
		}
	}
	w.millionths("margin", t.Margin.Microseconds())
	w.text("late", t.Late)
	w.end()
}
