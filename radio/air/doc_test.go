package air_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"gatewayd/radio/air"
)

// answering is a gateway that answers the first uplink in RX1.
type answering struct {
	ear
	answer func(end air.Reception)
}

func (a *answering) Ended(r air.Reception) {
	if a.answer != nil {
		a.answer(r)
		a.answer = nil
	}
}

// The example of docs/air.md, line by line.
func TestExampleOfTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/air.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "```\n> ")
	example, _, end := strings.Cut(example, "```")
	if !ok || !end {
		t.Fatal("docs/air.md has no example")
	}
	synctest.Test(t, func(t *testing.T) {
		s := &sky{Medium: air.New(air.Config{}), t: t}
		defer s.Close()
		gw := &answering{}
		s.gateway = s.join(air.StationConfig{Gateway: &gatewayEUI}, gw)
		gw.answer = func(r air.Reception) {
			f := air.Frame{Payload: []byte("\x60\xf1\x7d\xbe\x49\x20\x00\x00\x07\xf6\xf6\xf6"), Freq: r.Freq, Mod: inverted(sf(7))}
			s.send(s.gateway, f, r.End+1_000_000, 14)
		}
		l := newPipes()
		done := make(chan error)
		go func() { done <- air.Serve(t.Context(), l, s.Medium, nil) }()
		a, b := net.Pipe()
		l.conns <- a
		c := &script{t, b, bufio.NewReader(b)}
		for line := range strings.Lines("> " + example) {
			switch line = strings.TrimSpace(line); line[:2] {
			case "> ":
				c.say("%s", line[2:])
			case "< ":
				c.want("%s", line[2:])
			}
		}
		l.Close()
		if err := <-done; err == nil {
			t.Error("Serve returned without an error when its listener was closed")
		}
	})
}

// Over a real socket the error still arrives before the connection is closed,
// though input has not been read.
func TestLongLineOverASocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "air")
		}
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		m := air.New(air.Config{})
		defer m.Close()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- air.Serve(ctx, l, m, nil) }()
		var dialer net.Dialer
		conn, err := dialer.DialContext(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, strings.Repeat("x", 100_000)); err != nil {
			t.Fatal(err)
		}
		c := &script{t, conn, bufio.NewReader(conn)}
		c.wantError("null", "4096 bytes")
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("%s: then %v", network, err)
		}
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: Serve: %v", network, err)
		}
	}
}
