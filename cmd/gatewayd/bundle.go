package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"runtime/pprof"
	"time"
)

// secretText finds what looks like a key or a token, or follows a word that
// announces one.
var secretText = regexp.MustCompile(`(?i)\b[0-9a-f]{32,}\b|(access_token|password|authorization|token|secret|key)(["']?\s*[=:]\s*)("[^"]*"|[^\s"&,}]+)|(://)[^/\s@]+@`)

// scrub takes secrets out of a text. The log has none; this is the second
// fence.
func scrub(text []byte) []byte {
	return secretText.ReplaceAll(text, []byte("$1$2$4(secret)"))
}

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
		if _, err := entry.Write(scrub(text.Bytes())); err != nil {
			return err
		}
	}
	return z.Close()
}

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
