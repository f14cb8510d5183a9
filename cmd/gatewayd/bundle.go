package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime/pprof"
	"time"

	"gatewayd/cmd/gatewayd/doctor"
)

// Support implements dataapi.Machine: doctor's bundle of the machine, with what
// the daemon knows besides.
func (m *machine) Support(w io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), reportPatience)
	defer cancel()
	s, err := doctorSubject(ctx, m.cfg)
	if err != nil {
		return err
	}
	s.Daemon, s.Chip, s.NoChip = true, nil, "the daemon drives it"
	var more []doctor.File
	for _, f := range []struct {
		name string
		make func(io.Writer) error
	}{
		{"system.json", func(w io.Writer) error { return indented(w, m.System()) }},
		{"radio.json", func(w io.Writer) error { return indented(w, m.Radio()) }},
		{"log.txt", m.writeLog},
		{"metrics.txt", m.server.WriteMetrics},
		{"goroutines.txt", func(w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 1) }},
	} {
		var text bytes.Buffer
		if err := f.make(&text); err != nil {
			fmt.Fprintf(&text, "\nnot complete: %v\n", err) // the rest is worth having
		}
		more = append(more, doctor.File{Name: f.name, Text: text.Bytes()})
	}
	return doctor.Bundle(w, s, doctor.Examine(ctx, s, nil), more...)
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
