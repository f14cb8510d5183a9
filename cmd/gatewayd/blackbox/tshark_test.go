package blackbox

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Message types of LoRaWAN as the dissector prints them.
const (
	joinRequest = "0"
	joinAccept  = "1"
)

// MIC states of the dissector (lorawan.mic.status).
const micGood = "1"

// judge has tshark's LoRaWAN dissector read a recording: no frame may be
// malformed, and each MIC must be right. Two kinds of good frames are beyond
// the dissector, and are left to lora-packet, which verified every frame
// before: join-accepts are encrypted as a whole, and a frame without FPort, such
// as a bare ACK, it takes for one with an FPort and a MIC of three bytes
// (Wireshark 4.0; LoRaWAN 1.0.4 §4.3.2 makes FPort optional).
func judge(t *testing.T, rec *recording) {
	t.Helper()
	if rec == nil {
		t.Fatal("there is no recording")
	}
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("NOT CHECKED: tshark is not installed, so no independent dissector looked at the frames; apt-get install tshark")
	}
	rows := dissect(t, rec)
	if len(rows) != rec.Frames || len(rows) == 0 {
		t.Errorf("tshark sees %d LoRaWAN frames, %d were recorded", len(rows), rec.Frames)
	}
	var verified, bare int
	kinds := map[string]int{}
	for _, r := range rows {
		kinds[r.mtype]++
		switch {
		case r.withoutFPort():
			bare++
		case r.malformed != "":
			t.Errorf("frame %s is malformed: %s", r.number, r.malformed)
		case r.mtype == joinAccept:
		case r.mic != micGood:
			t.Errorf("frame %s (MType %s, device %s): MIC status %s, want %s: %s", r.number, r.mtype, r.device, r.mic, micGood, r.expert)
		default:
			verified++
		}
	}
	for _, k := range []string{joinRequest, joinAccept, "2", "3"} { // data up, data down
		if kinds[k] == 0 {
			t.Errorf("no frame of MType %s was recorded: the check lost its sense", k)
		}
	}
	t.Logf("%d frames, %d MICs verified, %d without FPort, by MType %v", len(rows), verified, bare, kinds)
}

type dissected struct{ number, mtype, mic, malformed, device, options, size, expert string }

// loRaTapSize is what precedes each PHYPayload in the recording.
const loRaTapSize = 15

// withoutFPort tells whether the frame is MHDR, FHDR and MIC alone.
func (d dissected) withoutFPort() bool {
	size, err := strconv.Atoi(d.size)
	options, errOptions := strconv.Atoi(d.options)
	return err == nil && errOptions == nil && size == loRaTapSize+1+7+options+4
}

// dissect reads a recording with each of the keys. The dissector's table takes
// the first key of an AppEUI or a DevAddr, so there is a pass for each
// of several devices that share one; the best verdict on a frame counts.
func dissect(t *testing.T, rec *recording) []dissected {
	t.Helper()
	var rows []dissected
	for rest := rec.Keys; len(rest) > 0; {
		var now []sessionKeys
		now, rest = distinct(rest)
		for i, r := range pass(t, rec.File, now) {
			switch {
			case i == len(rows):
				rows = append(rows, r)
			case r.mic == micGood:
				rows[i] = r
			}
		}
	}
	return rows
}

// distinct splits off keys that share neither AppEUI nor DevAddr.
func distinct(keys []sessionKeys) (now, rest []sessionKeys) {
	for _, k := range keys {
		if slices.ContainsFunc(now, func(o sessionKeys) bool { return o.AppEUI == k.AppEUI || o.DevAddr == k.DevAddr }) {
			rest = append(rest, k)
		} else {
			now = append(now, k)
		}
	}
	return now, rest
}

// pass runs tshark once.
func pass(t *testing.T, file string, keys []sessionKeys) []dissected {
	t.Helper()
	args := []string{"-r", file, "-Y", "lorawan", "-T", "fields", "-E", "separator=|"}
	for _, f := range []string{"frame.number", "lorawan.mhdr.mtype", "lorawan.mic.status", "_ws.malformed", "lorawan.fhdr.devaddr", "lorawan.fhdr.fctrl.foptslen", "frame.len", "_ws.expert.message"} {
		args = append(args, "-e", f)
	}
	for _, k := range keys {
		// The table knows sessions by DevAddr and root keys by AppEUI, both as
		// they are on the air: low byte first.
		args = append(args, "-o", uat(reversed(t, k.DevAddr), k.NwkSKey, k.AppSKey, "0000000000000000"))
		if k.AppKey != "" {
			args = append(args, "-o", uat("00000000", strings.Repeat("0", 32), k.AppKey, reversed(t, k.AppEUI)))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "tshark", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("tshark: %v\n%s", err, &stderr)
	}
	var rows []dissected
	for text := range strings.Lines(stdout.String()) {
		f := strings.SplitN(strings.TrimRight(text, "\n"), "|", 8)
		if len(f) != 8 {
			t.Fatalf("tshark printed %q", text)
		}
		rows = append(rows, dissected{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]})
	}
	return rows
}

func uat(addr, nwk, app, eui string) string {
	return fmt.Sprintf("uat:encryption_keys_lorawan:%q,%q,%q,%q", addr, nwk, app, eui)
}

func reversed(t *testing.T, digits string) string {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatalf("%q: %v", digits, err)
	}
	slices.Reverse(b)
	return hex.EncodeToString(b)
}
