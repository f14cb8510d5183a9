package dataapi

import (
	"encoding/binary"

	"gatewayd/nsedge"
)

// encodeDownlinkRequest writes tx_time and, ours, cutoff_time: an answer that
// arrives later misses that window.
func encodeDownlinkRequest(w *writer, ev *nsedge.DownlinkRequest) {
	w.unix("tx_time", ev.TXTime)
	if !ev.Deadline.IsZero() {
		w.unix("cutoff_time", ev.Deadline)
	}
	w.int("counter_down", int64(ev.Counter))
	w.int("max_size", int64(ev.MaxSize))
}

func encodeJoinRequest(w *writer, ev *nsedge.JoinRequest) {
	w.hex("dev_eui", ev.Device[:])
	w.hex("dev_addr", ev.DevAddr[:])
	w.hex("dev_nonce", binary.BigEndian.AppendUint16(nil, ev.DevNonce))
	w.hex("net_id", ev.NetID[:])
	if ev.CFList != nil {
		w.hex("cf_list", ev.CFList)
	}
}

func encodeStatusResponse(w *writer, ev *nsedge.StatusResponse) {
	w.int("battery", int64(ev.Battery))
	w.int("snr", int64(ev.SNR))
	w.unix("rx_time", ev.RXTime)
}

func encodeLocation(w *writer, ev *nsedge.Location) {
	w.list("solutions")
	for _, s := range ev.Solutions {
		w.begin()
		w.float("lat", s.Lat, 7)
		w.float("lng", s.Lng, 7)
		w.int("precision", int64(s.Precision))
		w.int("quality", int64(s.Quality))
		w.text("method", s.Method)
		w.end()
	}
	w.endList()
}

func encodeNotice(w *writer, ev *nsedge.Notice) {
	w.text("code", ev.Code)
	w.text("message", ev.Message)
	if ev.Timing != nil {
		encodeTiming(w, *ev.Timing)
	}
}
