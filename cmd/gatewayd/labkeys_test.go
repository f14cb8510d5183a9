package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/cmd/gatewayd/lab"
)

// tshark prints fields of a capture's LoRaWAN frames, a line each, with the
// keys of a folder.
func tshark(t *testing.T, keys, file string, fields ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("NOT CHECKED: tshark is not installed; apt-get install tshark")
	}
	args := []string{"-r", file, "-Y", "loratap", "-T", "fields", "-E", "separator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+keys)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, &stderr)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// Wireshark verifies and decrypts what a case has on the air, by the keys
// that lie beside the capture.
func TestWiresharkReadsCapturesWithTheirKeys(t *testing.T) {
	dir := t.TempDir()
	if out, err := labRun(t, "--capture", dir, "--loratap", "0", "lab/examples/join.star"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	capture := filepath.Join(dir, "test_a_device_joins_and_is_answered")
	var verified, decrypted int
	for _, l := range tshark(t, capture+".keys", capture+".pcapng", "lorawan.mhdr.mtype", "_ws.malformed", "lorawan.mic.status", "lorawan.fport", "lorawan.frmpayload_decrypted", "frame.len", "lorawan.fhdr.fctrl.foptslen") {
		f := strings.Split(l, "|")
		mtype, malformed, mic, port, payload := f[0], f[1], f[2], f[3], f[4]
		if malformed != "" && !withoutFPort(f[5], f[6]) || mic == "0" {
			t.Errorf("type %s: %q, MIC %s", mtype, malformed, mic)
		}
		if mic == "1" {
			verified++
		}
		if port != "" && payload != "" {
			decrypted++
		}
	}
	if verified < 3 || decrypted < 2 {
		t.Errorf("%d MICs verified, %d payloads decrypted", verified, decrypted)
	}

	// With another key nothing is right.
	text, err := os.ReadFile(filepath.Join(capture+".keys", "encryption_keys_lorawan"))
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "encryption_keys_lorawan"), flipped(t, text), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, l := range tshark(t, other, capture+".pcapng", "lorawan.mic.status") {
		if l == "0" {
			bad++
		}
	}
	if bad < verified {
		t.Errorf("%d MICs are wrong by wrong keys, %d were right", bad, verified)
	}
}

// flipped changes a digit of each key of a table.
func flipped(t *testing.T, table []byte) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	for i, l := range lines {
		f := strings.Split(l, `","`)
		for k := range f[1:3] {
			digit := "0"
			if f[1+k][0] == '0' {
				digit = "1"
			}
			f[1+k] = digit + f[1+k][1:]
		}
		lines[i] = strings.Join(f, `","`)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// All that the suite has on the air, planted faults included, is read without
// a malformed frame; with the race detector, three parts of it. Captures may be
// joined: pcapng has sections.
func TestWiresharkReadsAllCapturesOfTheSuite(t *testing.T) {
	dir := t.TempDir()
	args, cases, fewest := []string{"--capture", dir, "--loratap", "0"}, 30, 1000
	if raceEnabled {
		args, cases, fewest = append(args, "counters", "mac", "windows"), 15, 100
	}
	if out, err := labSuite(t, args...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.pcapng"))
	if err != nil || len(files) < cases {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	var all []byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	joined := filepath.Join(dir, "all.pcapng")
	if err := os.WriteFile(joined, all, 0o600); err != nil {
		t.Fatal(err)
	}
	frames := tshark(t, t.TempDir(), joined, "frame.number", "_ws.malformed", "lorawan.mhdr.mtype", "frame.len", "lorawan.fhdr.fctrl.foptslen")
	for _, l := range frames {
		f := strings.Split(l, "|")
		if f[1] != "" && !withoutFPort(f[3], f[4]) {
			t.Errorf("frame %s is malformed: %s", f[0], l)
		}
	}
	if len(frames) < fewest {
		t.Errorf("only %d frames", len(frames))
	}
}

// A running gateway gives its keys to administrators, and its capture at once:
// who watches it live sees each frame when it comes.
func TestARunningGatewayGivesItsKeysAndALiveCapture(t *testing.T) {
	inBubble(t, setup{change: func(c *config.Config) { c.Lab.Enabled = true }}, func(w *world) {
		req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://gateway/api/v1.0/lab/capture.pcapng", nil)
		w.must(err)
		req.Header.Set("Authorization", "Bearer "+w.token)
		client := http.Client{Transport: &http.Transport{DialContext: w.api.Dial, DisableKeepAlives: true}}
		resp, err := client.Do(req)
		w.must(err)
		defer resp.Body.Close()
		head := make([]byte, 12)
		_, err = io.ReadFull(resp.Body, head)
		w.must(err)
		if !bytes.HasPrefix(head, []byte{0x0A, 0x0D, 0x0D, 0x0A}) {
			t.Errorf("the capture begins with %x", head)
		}
		dev := w.device(1, false, nil)
		defer dev.Close()
		w.must(dev.Join(w.ctx))
		packet := make([]byte, 200) // of some 330 that have come
		_, err = io.ReadFull(resp.Body, packet)
		w.must(err)
		for _, table := range lab.KeyTables() {
			status, text := w.download("/lab/keys/" + table)
			if status != http.StatusOK || bytes.Count(text, []byte("\n")) < 1 || !bytes.HasPrefix(text, []byte(`"`)) {
				t.Errorf("%s: %d %q", table, status, text)
			}
		}
	})
}

// withoutFPort tells whether a frame is MHDR, FHDR and MIC alone, which the
// dissector takes for one with an FPort and a MIC of three bytes (Wireshark
// 4.0; LoRaWAN 1.0.4 §4.3.2 makes FPort optional).
func withoutFPort(size, options string) bool {
	const loRaTap = 15
	n, err := strconv.Atoi(size)
	o, errOptions := strconv.Atoi(options)
	return err == nil && errOptions == nil && n == loRaTap+1+7+o+4
}
