package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/pprof"
	"time"

	"gatewayd/cmd/gatewayd/doctor"
)

// Support implements dataapi.Machine.
func (m *machine) Support(w io.Writer) error {
	z := zip.NewWriter(w)
	for _, f := range []struct {
		name string
		make func(io.Writer) error
	}{
		{"system.json", func(w io.Writer) error { return indented(w, m.System()) }},
		{"radio.json", func(w io.Writer) error { return indented(w, m.Radio()) }},
		{"gatewayd.toml", m.cfg.Print},
		{"log.txt", m.writeLog},
		{"metrics.txt", m.server.WriteMetrics},
		{"report.txt", m.writeReport},
		{"goroutines.txt", func(w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 1) }},
	} {
		var text bytes.Buffer
		if err := f.make(&text); err != nil {
			fmt.Fprintf(&text, "\nnot complete: %v\n", err) // the rest is worth having
		}
		entry, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: time.Now()})
		if err != nil {
			return err
		}
		if _, err := entry.Write(doctor.Scrub(text.Bytes())); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeReport is what doctor says of the machine while the daemon has the
// chip.
func (m *machine) writeReport(w io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), reportPatience)
	defer cancel()
	s, err := doctorSubject(ctx, m.cfg)
	if err != nil {
		return err
	}
	s.Daemon, s.Chip, s.NoChip = true, nil, "the daemon drives it"
	doctor.Examine(ctx, s, nil).Print(w)
	return nil
}

// reportPatience bounds what doctor may take beside a running daemon.
const reportPatience = 10 * time.Second

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (m *machine) writeLog(w io.Writer) error {
	for _, l := range m.Log() {
		fields, err := json.Marshal(l.Fields)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s %-5s %s %s\n", time.UnixMicro(int64(l.Time*1e6)).UTC().Format("2006-01-02T15:04:05.000000Z"), l.Level, l.Message, fields)
	}
	return nil
}
