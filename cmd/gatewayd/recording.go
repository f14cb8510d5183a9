package main

import (
	"io"
	"log/slog"
	"path/filepath"

	"periph.io/x/conn/v3/spi"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/flight"
	"gatewayd/concentrator"
	"gatewayd/dataapi"
	"gatewayd/radio"
)

// recordingsIn is the folder of the files that the flight recorder writes when
// something fails.
func recordingsIn(cfg config.Config) string { return filepath.Join(cfg.State.Dir, "recordings") }

// record puts the flight recorder, if there is one, between the driver and its
// board.
func (d *daemon) record(rc *concentrator.Config) spi.Port {
	h := flight.Header{Program: version, Board: d.parts.hardware.Board.Name, Region: d.region.Short()}
	for i, r := range rc.Radios {
		if r.Enable {
			h.Radios[i] = r.Type.String()
		}
	}
	d.recorder = flight.New(flight.Config{Size: d.cfg.Recorder.Size << 20, Header: h, Gateway: d.eui})
	if d.parts.recordings != "" {
		d.faults = &flight.Files{Folder: d.parts.recordings, Recorder: d.recorder}
	}
	rc.Reset, rc.HoldReset = d.recorder.Reset(rc.Reset), d.recorder.Hold(rc.HoldReset)
	return d.recorder.Port(d.parts.hardware.Port)
}

// fault keeps what the recorder has of the time before a fault.
func (d *daemon) fault(kind string, why error) {
	path, err := d.faults.Fault(kind, why)
	switch {
	case err != nil:
		d.log.Warn("no recording of the fault is kept", slog.Any("err", err))
	case path != "":
		d.log.Info("a recording of the fault is kept: gatewayd replay", slog.String("file", path))
	}
}

// heard is told of each frame that the radio heard.
func (d *daemon) heard(u radio.Uplink) {
	d.server.Heard(u)
	d.recorder.Heard(u)
}

// observer is the recorder as the API tells it of messages; nil if it is off.
func (d *daemon) observer() dataapi.Observer {
	if d.recorder == nil {
		return nil
	}
	return d.recorder
}

// Recording implements dataapi.Machine.
func (m *machine) Recording() func(io.Writer) error {
	if m.recorder == nil {
		return nil
	}
	return func(w io.Writer) error { return m.recorder.Write(w, "on demand") }
}
