package nsedge

import (
	"context"
	"log/slog"
)

// One line per frame, at debug level: who wants to see them live subscribes
// to the events. Keys and payloads are never in them.

func (e *Edge) logUplink(ev *UplinkEvent) {
	ctx := context.Background()
	if !e.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	e.log.LogAttrs(ctx, slog.LevelDebug, "uplink", slog.String("device", ev.Device.String()), slog.String("dev_addr", ev.DevAddr.String()),
		slog.Uint64("counter", uint64(ev.Counter)), slog.Int("port", int(ev.Port)), slog.Int("size", ev.Radio.Size), slog.Float64("mhz", ev.Radio.Freq.MHz()),
		slog.String("mod", ev.Radio.Mod.String()), slog.Float64("rssi", float64(ev.Radio.RSSI)), slog.Float64("snr", float64(ev.Radio.SNR)))
}

func (e *Edge) logDownlink(ev *DownlinkEvent) {
	ctx := context.Background()
	if !e.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	e.log.LogAttrs(ctx, slog.LevelDebug, "downlink", slog.String("device", ev.Device.String()), slog.String("dev_addr", ev.DevAddr.String()),
		slog.Uint64("counter", uint64(ev.Counter)), slog.Int("port", int(ev.Port)), slog.Int("size", ev.Radio.Size), slog.Float64("mhz", ev.Radio.Freq.MHz()),
		slog.String("mod", ev.Radio.Mod.String()), slog.String("window", ev.Timing.Window), slog.Duration("margin", ev.Timing.Margin))
}
