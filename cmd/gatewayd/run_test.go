package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/concentrator"
)

// watched is a writer that tells when a word was written.
type watched struct {
	word string
	seen chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

func watchFor(word string) *watched { return &watched{word: word, seen: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	had := strings.Contains(w.text.String(), w.word)
	w.text.Write(p)
	if !had && strings.Contains(w.text.String(), w.word) {
		close(w.seen)
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// background runs a command line until stop is called, which returns its exit
// code; it waits for the word in what the command writes.
func background(t *testing.T, word string, args ...string) (*watched, func() int) {
	t.Helper()
	out := watchFor(word)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	go func() { done <- execute(ctx, args, streams{strings.NewReader(""), out, out}) }()
	select {
	case <-out.seen:
	case code := <-done:
		cancel()
		t.Fatalf("%v ended with %d: %s", args, code, out)
	case <-time.After(30 * time.Second):
		cancel()
		t.Fatalf("%v: no %q in 30 s: %s", args, word, out)
	}
	return out, func() int {
		cancel()
		return <-done
	}
}

// freeAddress is where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

func TestDaemonRunsServesItsCommandsAndEndsCleanly(t *testing.T) {
	api, medium, state := freeAddress(t), freeAddress(t), filepath.Join(t.TempDir(), "state")
	config := writeConfig(t, fmt.Sprintf(`
[concentrator]
driver = "emulated"
[air]
listen = %q
[dataapi]
listen = %q
[state]
dir = %q
[log]
format = "json"
`, medium, api, state))
	log, stop := background(t, `"msg":"ready"`, "run", "-c", config)

	if status, body := get(t, "http://"+api+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, body)
	}
	code, out, errText := cli(t, "key", "create", "-c", config, "--name", "x", "--rights", "devices")
	if code != exitOK {
		t.Fatal(errText)
	}
	token := lastLine(out)
	const eui = "70b3d57ed0000001"
	if code, _, errText = cli(t, "device", "add", eui, "app_eui=0000000000000001", "app_key=000102030405060708090a0b0c0d0e0f", "-c", config); code != exitOK {
		t.Fatal(errText)
	}
	// The running daemon knows both at once.
	if status, body := get(t, "http://"+api+"/api/v1.0/devices?access_token="+token); status != http.StatusOK || !strings.Contains(body, eui) {
		t.Errorf("devices: %d %s", status, body)
	}
	var dialer net.Dialer
	if conn, err := dialer.DialContext(t.Context(), "tcp", medium); err != nil {
		t.Errorf("the air is not served: %v", err)
	} else {
		conn.Close()
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, log)
	}
	for text := range strings.Lines(log.String()) {
		if !json.Valid([]byte(text)) {
			t.Errorf("no JSON in the log: %q", text)
		}
		if strings.Contains(text, token) || strings.Contains(text, "000102030405") {
			t.Errorf("a secret is in the log: %q", text)
		}
	}
	// What was made is still there without the daemon.
	if _, out, _ := cli(t, "device", "list", "-c", config); !strings.Contains(out, eui) {
		t.Errorf("after the end: %s", out)
	}
}

// A program that speaks the chip-select framing finds an SX1302.
func TestSimServesAChipForOtherPrograms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spi.sock")
	out, stop := background(t, "Ctrl-C", "sim", "--spi-socket", path, "--air", freeAddress(t), "--quick", "--seed", "3")
	if !strings.Contains(out.String(), `spi = "unix:`+path) {
		t.Errorf("it doesn't say how to connect:\n%s", out)
	}
	port, err := concentrator.DialSPI("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := port.Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	// Register 0x5606 is the version: chip target, address, one dummy byte.
	w, r := []byte{0, 0x56, 0x06, 0, 0}, make([]byte, 5)
	if err := conn.Tx(w, r); err != nil {
		t.Fatal(err)
	}
	if r[4] != 0x10 {
		t.Errorf("version 0x%02x, an SX1302 has 0x10", r[4])
	}
	if err := port.Close(); err != nil {
		t.Error(err)
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// The demo as the command line runs it, on real sockets.
func TestDemoCommandEndsByItself(t *testing.T) {
	code, out, errText := cli(t, "demo", "--for", "1s", "--listen", freeAddress(t), "--air", "off", "--devices", "1")
	if code != exitOK || !strings.Contains(out, "npx wscat") || !strings.Contains(out, "downlinks") {
		t.Errorf("exit code %d: %s%s", code, out, errText)
	}
	if strings.Contains(out, "\x1b[") {
		t.Error("colour where nobody sees it")
	}
}

func TestDemoTakesAnotherPortWhereItsOwnIsInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	var out bytes.Buffer
	l, err := listenOr(newStory(&out, false), "--listen", "", busy.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !strings.Contains(out.String(), busy.Addr().String()+" is in use, so it is "+l.Addr().String()) {
		t.Error(out.String())
	}
	if _, err := listenOr(newStory(&out, false), "--listen", busy.Addr().String(), "x"); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a port that was asked for: %v", err)
	}
}
