package blackbox

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"slices"
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
// malformed, and each MIC must be right. Join-accepts are encrypted as a whole,
// which the dissector cannot undo; the device in the scenario checked theirs.
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
	var verified int
	kinds := map[string]int{}
	for _, r := range rows {
		kinds[r.mtype]++
		switch {
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
	t.Logf("%d frames, %d MICs verified, by MType %v", len(rows), verified, kinds)
}

type dissected struct{ number, mtype, mic, malformed, device, expert string }

func dissect(t *testing.T, rec *recording) []dissected {
	t.Helper()
	args := []string{"-r", rec.File, "-Y", "lorawan", "-T", "fields", "-E", "separator=|"}
	for _, f := range []string{"frame.number", "lorawan.mhdr.mtype", "lorawan.mic.status", "_ws.malformed", "lorawan.fhdr.devaddr", "_ws.expert.message"} {
		args = append(args, "-e", f)
	}
	for _, k := range rec.Keys {
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
		f := strings.SplitN(strings.TrimRight(text, "\n"), "|", 6)
		if len(f) != 6 {
			t.Fatalf("tshark printed %q", text)
		}
		rows = append(rows, dissected{f[0], f[1], f[2], f[3], f[4], f[5]})
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
