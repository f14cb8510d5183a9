package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatewayd/radio"
)

// An uplink and a downlink of the LoRaWAN kind; the first is the example of
// npm's lora-packet.
func frames() (radio.Uplink, radio.Downlink, radio.Report) {
	payload, _ := hex.DecodeString("40f17dbe4900020001954378762b11ff0d")
	up := radio.LoRa{SF: 9, Bandwidth: 125_000}
	u := radio.Uplink{
		Gateway: radio.EUI64{1, 2, 3, 4, 5, 6, 7, 8}, Payload: payload, CRC: radio.GoodCRC, At: 10_000_000, Tmst: 10_000_000,
		Time: time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC), Freq: 868_300_000, Mod: up, IFChain: 3, RFChain: 1, RSSI: -101, SNR: -7.25,
	}
	d := radio.Downlink{Payload: payload, At: 11_000_000, Freq: 869_525_000, Mod: radio.LoRa{SF: 12, Bandwidth: 125_000, InvertIQ: true, NoCRC: true}}
	return u, d, radio.Report{Started: 11_000_000}
}

func written(t *testing.T, version0 bool) []byte {
	t.Helper()
	var b bytes.Buffer
	u, d, r := frames()
	c, err := New(&b, Config{Gateway: u.Gateway, Comment: "a test", Version0: version0})
	if err != nil {
		t.Fatal(err)
	}
	c.Heard(u)
	c.Sent(d, r)
	c.Sent(d, radio.Report{Err: radio.ErrTooLate}) // never on the air
	u.CRC, u.Payload = radio.BadCRC, u.Payload[:9]
	c.Heard(u)
	u.Mod = radio.FSK{BitRate: 50_000}
	c.Heard(u)
	if err := c.Err(); err != nil || c.Frames() != 4 {
		t.Fatalf("%d frames, %v", c.Frames(), err)
	}
	return b.Bytes()
}

func TestTheBlocksFollowEachOther(t *testing.T) {
	var kinds []uint32
	for b := written(t, false); len(b) > 0; {
		kind, size := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if size%4 != 0 || int(size) > len(b) || binary.LittleEndian.Uint32(b[size-4:]) != size {
			t.Fatalf("a block of type %#x says it has %d bytes", kind, size)
		}
		kinds = append(kinds, kind)
		b = b[size:]
	}
	if len(kinds) != 6 || kinds[0] != blockSection || kinds[1] != blockInterface || kinds[2] != blockPacket {
		t.Errorf("blocks %#x", kinds)
	}
}

// The header's bytes by hand, after the field list of LoRaTap version 1.
func TestTheHeaderIsLoRaTap1(t *testing.T) {
	u, d, r := frames()
	want := "01000023" + "33c134e0" + "01" + "09" + "98ffffe3" + "34" + "0102030405060708" + "00989680" + "08" + "05" + "0000" + "03" + "01" + "0000"
	if got := hex.EncodeToString(uplinkHeader(u)); got != want {
		t.Errorf("uplink\n%s, want\n%s", got, want)
	}
	want = "01000023" + "33d3e608" + "01" + "0c" + "ffffff00" + "34" + "0102030405060708" + "00a7d8c0" + "22" + "05" + "0000" + "00" + "00" + "0000"
	if got := hex.EncodeToString(downlinkHeader(d, r, u.Gateway)); got != want {
		t.Errorf("downlink\n%s, want\n%s", got, want)
	}
}

// Wireshark's dissector is the judge, where it is installed; the one of
// Debian 12 knows version 0 alone.
func TestTsharkReadsTheCapture(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("NOT CHECKED: tshark is not installed; apt-get install tshark")
	}
	path := filepath.Join(t.TempDir(), "air.pcapng")
	if err := os.WriteFile(path, written(t, true), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", "-r", path, "-T", "fields", "-E", "separator=,", "-e", "frame.time_epoch", "-e", "loratap.channel.frequency", "-e", "loratap.channel.sf", "-e", "loratap.syncword", "-e", "lorawan.fhdr.devaddr")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 4 {
		t.Fatalf("tshark sees %d frames:\n%s", len(lines), out)
	}
	u, _, _ := frames()
	for i, want := range []string{",868300000,9,0x34,0x49be7df1", ",869525000,12,0x34,0x49be7df1"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("frame %d: %s, want %s in it", i, lines[i], want)
		}
	}
	var seconds [2]float64
	for i := range seconds {
		text, _, _ := strings.Cut(lines[i], ",")
		d, err := time.ParseDuration(text + "s")
		if err != nil {
			t.Fatal(err)
		}
		seconds[i] = d.Seconds()
	}
	apart := time.Second + u.Mod.Airtime(len(u.Payload))
	if got := seconds[1] - seconds[0]; got-apart.Seconds() > 2e-6 || apart.Seconds()-got > 2e-6 {
		t.Errorf("the frames begin %.6f s apart, want %v", got, apart)
	}
}

type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(p), nil
}

func TestAFullDiskEndsTheCapture(t *testing.T) {
	u, _, _ := frames()
	c, err := New(&broken{left: 1}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	c.Heard(u)
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "the disk is full") || c.Frames() != 0 {
		t.Errorf("%d frames, %v", c.Frames(), err)
	}
	if _, err := New(&broken{}, Config{}); err == nil {
		t.Error("a capture that can't begin is no error")
	}
}

func BenchmarkAFrame(b *testing.B) {
	u, _, _ := frames()
	c, err := New(&bytes.Buffer{}, Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Heard(u)
	}
}
