package sx1302sim

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator/bridge"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// plugged puts a chip on a USB card and returns the host's end of its line.
// It works in a synctest bubble.
func plugged(t *testing.T, c *Chip, u USB) net.Conn {
	t.Helper()
	host, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.ServeUSB(ctx, far, u) }()
	t.Cleanup(func() {
		host.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return host
}

// ask sends bytes in hex and returns what comes back until it is silent for
// 20 ms, in hex.
func ask(t *testing.T, line net.Conn, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = line.Write(b) }() // the answer may come before the end
	var got []byte
	for {
		if err := line.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		chunk := make([]byte, 4096)
		n, err := line.Read(chunk)
		got = append(got, chunk[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return hex.EncodeToString(got)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

const (
	powerOn    = "01 0003 04 00 01 01"
	assertPin  = "02 0003 04 00 02 01"
	releasePin = "03 0003 04 00 02 00"
)

// What the firmware 01.00.00 of the vendor's card answers.
func TestUSBCardAnswersAsItsFirmwareDoes(t *testing.T) {
	pin := func(port, pin, level string) string { return "09 0003 04 " + port + pin + level }
	for _, c := range []struct{ name, send, want string }{
		{"ping", "2a 0000 00", "2a0015400102030405060708090a0b0c5630312e30302e3030"},
		{"status", "2b 0000 01", "2b00064100000005fbff"},
		{"bootloader", "2c 0000 02", "2c000042"},
		{"restart", "2d 0001 03 00", "2d00014300"},
		{"restart of another kind", "2d 0001 03 01", "2d00014301"},
		{"a pin that leads nowhere", pin("01", "0f", "00"), "0900014400"},
		{"port E", pin("04", "00", "00"), "0900014401"},
		{"port 9", pin("09", "00", "00"), "0900014401"},
		{"pin 16", pin("00", "10", "00"), "0900014401"},
		{"level 2", pin("00", "01", "02"), "0900014401"},
		{"unknown order", "2e 0000 06", "2e0000ff"},
		{"order of an answer", "2e 0000 40", "2e0000ff"},
		{"ping with payload", "2e 0001 00 00", "2e0000ff"},
		{"pin without level", "2e 0002 04 00 01", "2e0000ff"},
		{"a size that can't be", "2e 1069 05 00 00", "2e0000ff"},
		{"SPI without requests", "2f 0000 05", "2f000045"},
		{"read the version", "2f 000a 05 07 01 00 0005 00 56 06 00 00", "2f000a450701000005 0000000010"},
		{"two requests", "2f 000f 05 00 01 00 0004 00 d6 43 a5  01 02 56 43 0f 0a ", "2f000e45 0001000004 00000000  010200a5aa"},
		{"a value beyond its mask", "2f 0006 05 00 02 56 43 01 82", "2f000545 0002000082"},
		{"unknown target", "2f 0006 05 00 01 02 0001 00", "2f000545 0001020000"},
		{"unknown kind, then a good one", "2f 000c 05 00 03 07 01 00 0005 00 56 06 00 00", "2f000d45 000302 0701000005 0000000010"},
		{"empty frame", "2f 0005 05 00 01 00 0000", "2f000545 0001010000"},
		{"requests together", "2e 0000 06 2f 0000 05", "2e0000ff2f000045"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := USB{Info: bridge.Info{UniqueID: [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}
				u.Temperature = func() (float64, bool) { return -10.25, true }
				line := plugged(t, newChip(t, Config{}), u)
				for _, s := range []string{powerOn, assertPin, releasePin} {
					if got := ask(t, line, s); !strings.HasSuffix(got, "00014400") {
						t.Fatalf("%s: %s", s, got)
					}
				}
				want := strings.ReplaceAll(c.want, " ", "")
				got := ask(t, line, c.send)
				if c.name == "status" { // 60 ms have gone by
					got = strings.Replace(got, "0000003c", "00000005", 1)
				}
				if got != want {
					t.Errorf("%s\nis answered %s\nwant        %s", c.send, got, want)
				}
			})
		})
	}
}

func TestUSBCardWithoutThermometer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := plugged(t, newChip(t, Config{}), USB{Temperature: func() (float64, bool) { return 0, false }})
		if got := ask(t, line, "2b 0000 01"); got != "2b00064100000000ffff" {
			t.Error(got)
		}
	})
}

// After 0.1 s of silence the next byte begins a new request.
func TestHalfAUSBRequestIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := plugged(t, newChip(t, Config{}), USB{})
		if got := ask(t, line, "2e 0003 04 00"); got != "" {
			t.Error(got)
		}
		time.Sleep(usbForget / 2)
		if got := ask(t, line, "01 01"); got != "2e00014400" {
			t.Errorf("the rest in time: %q", got)
		}
		if got := ask(t, line, "2e 0003 04 00"); got != "" {
			t.Error(got)
		}
		time.Sleep(usbForget)
		if got := ask(t, line, "30 0000 05"); got != "30000045" {
			t.Errorf("after silence: %q", got)
		}
	})
}

// What lies behind a request is not clocked out.
func TestASPIRequestThatIsCutOffIsNotAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(t, Config{})
		line := plugged(t, c, USB{})
		ask(t, line, powerOn)
		ask(t, line, releasePin)
		if got := ask(t, line, "2f 0009 05 05 01 00 0005 00 d6 43 a5"); got != "2f000545"+"0501020000" {
			t.Error(got)
		}
		if c.LEDs() != 0 {
			t.Error("the register was written")
		}
	})
}

func TestAUSBCardStartsWithoutPowerAndItsPinsResetTheChip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(t, Config{})
		line := plugged(t, c, USB{})
		version := func() string {
			got := ask(t, line, "2f 000a 05 07 01 00 0005 00 56 06 00 00")
			return got[len(got)-2:]
		}
		led := func() byte { return c.LEDs() }
		if v := version(); v != "00" {
			t.Errorf("without power: version 0x%s", v)
		}
		ask(t, line, powerOn)
		if v := version(); v != "00" {
			t.Errorf("in reset: version 0x%s", v)
		}
		ask(t, line, releasePin)
		if v := version(); v != "10" {
			t.Errorf("running: version 0x%s", v)
		}
		ask(t, line, "2f 0009 05 00 01 00 0004 00 d6 43 a5")
		ask(t, line, powerOn)
		ask(t, line, releasePin)
		if led() != 0xA5 {
			t.Errorf("levels that don't change: register 0x%02X", led())
		}
		ask(t, line, assertPin)
		ask(t, line, releasePin)
		if v := version(); v != "10" || led() != 0 {
			t.Errorf("after a reset: version 0x%s, register 0x%02X", v, led())
		}
		ask(t, line, "04 0001 03 00")
		if v := version(); v != "00" {
			t.Errorf("after a restart of the card: version 0x%s", v)
		}
	})
}

func TestAHostThatTakesNoAnswersDoesNotStopTheCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := plugged(t, newChip(t, Config{}), USB{})
		if _, err := line.Write([]byte{1, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * usbPatience)
		if got := ask(t, line, "30 0000 05"); got != "30000045" {
			t.Error(got)
		}
	})
}

func TestAFailedTransferIsAFailedResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(t, Config{})
		line := plugged(t, c, USB{})
		c.Faults().Set(func(m *Misbehaviour) { m.FailTransfer = 1 })
		if got := ask(t, line, "2f 000a 05 07 01 00 0005 00 56 06 00 00"); got != "2f000545"+"0701010000" {
			t.Error(got)
		}
		c.Faults().Set(func(m *Misbehaviour) { m.FailTransfer = 1 })
		if got := ask(t, line, "2f 0006 05 00 02 56 43 0f 0a"); got != "2f000345"+"000201" {
			t.Error(got)
		}
	})
}

func TestALineThatFailsEndsTheCard(t *testing.T) {
	c := newChip(t, Config{})
	failing := &scripted{fails: errors.New("input/output error")}
	if err := c.ServeUSB(t.Context(), failing, USB{}); err == nil || !strings.Contains(err.Error(), "input/output") {
		t.Error(err)
	}
	if !failing.closed {
		t.Error("the line was left open")
	}
}

// scripted is a line with given input, whose output is kept.
type scripted struct {
	in     bytes.Reader
	out    bytes.Buffer
	fails  error // after the input
	closed bool
}

func (s *scripted) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	if errors.Is(err, io.EOF) && s.fails != nil {
		err = s.fails
	}
	return n, err
}
func (s *scripted) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *scripted) Close() error                     { s.closed = true; return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// FuzzUSB feeds any bytes to the card: nothing panics, and every answer has
// the identifier of a request and a payload of the size it says.
func FuzzUSB(f *testing.F) {
	f.Add([]byte("\x2a\x00\x00\x00\x2b\x00\x00\x01"))
	f.Add([]byte("\x01\x00\x03\x04\x00\x01\x01\x03\x00\x03\x04\x00\x02\x00\x2f\x00\x0a\x05\x07\x01\x00\x00\x05\x00\x56\x06\x00\x00"))
	f.Add([]byte("\x2f\x00\x06\x05\x00\x02\x56\x43\x0f\x0a\x2e\x10\x69\x05"))
	f.Add([]byte("\x2f\x00\x08\x05\x00\x03\x07\x01\x01\x00\x01\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s := &scripted{}
		s.in.Reset(b)
		if err := c.ServeUSB(context.Background(), s, USB{}); err != nil {
			t.Fatal(err)
		}
		for out := s.out.Bytes(); len(out) > 0; {
			if len(out) < bridge.HeaderSize {
				t.Fatalf("half a header: % x", out)
			}
			h := bridge.ParseHeader(out)
			if len(out) < bridge.HeaderSize+h.Size {
				t.Fatalf("%d bytes promised, %d sent", h.Size, len(out)-bridge.HeaderSize)
			}
			if !bytes.Contains(b, []byte{h.ID}) {
				t.Errorf("identifier 0x%02X out of nothing", h.ID)
			}
			if h.Order == bridge.AnswerTo(bridge.MultipleSPI) {
				for rest := out[bridge.HeaderSize : bridge.HeaderSize+h.Size]; len(rest) > 0; {
					if _, rest, err = bridge.NextAnswer(rest); err != nil {
						t.Fatal(err)
					}
				}
			}
			out = out[bridge.HeaderSize+h.Size:]
		}
	})
}

// The firmware waits for BUSY, so the host need not.
func TestTheUSBCardWaitsForTheSX1261(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(t, Config{})
		line := plugged(t, c, USB{})
		for _, s := range []string{powerOn, releasePin, "03 0003 04 00 08 00", "03 0003 04 00 08 01"} {
			ask(t, line, s)
		}
		// Calibrate all, then the version in its registers, then a command
		// that doesn't exist.
		calibrate, version := "00 01 01 0002 89 7f", "01 01 01 000a 1d 0320 00 000000000000"
		got := ask(t, line, "2f 0016 05"+calibrate+version)
		if !strings.Contains(got, hex.EncodeToString([]byte("SX1261"))) || c.Violations() != 0 {
			t.Errorf("%s, %d violations", got, c.Violations())
		}
		ask(t, line, "2f 000e 05 00 01 01 0009 0d 0740 012345678912")
		ask(t, line, "03 0003 04 00 08 00")
		if got := ask(t, line, "2f 000b 05 00 01 01 0006 1d 0740 00 0000"); strings.HasSuffix(got, "0123") {
			t.Error("its registers outlive its reset line")
		}
		if got := ask(t, line, "2f 0005 05 00 01 01 0000"); got != "2f000545"+"0001010000" {
			t.Errorf("empty frame: %s", got)
		}
		c.Faults().Set(func(m *Misbehaviour) { m.SX1261.FailTransfer = 1 })
		if got := ask(t, line, "2f 0007 05 00 01 01 0002 c0 00"); got != "2f000545"+"0001010000" {
			t.Errorf("failed transfer: %s", got)
		}
	})
}

// The requests of a whole run of the vendor's transmit test: connect, start,
// one frame of 20 bytes at once, stop. Each line is a message in hex; "+N"
// stands for N bytes of firmware, of which any will do.
func TestTheVendorsTransmitTestRunsOnTheUSBCard(t *testing.T) {
	recorded, err := os.ReadFile("testdata/usb_hal_tx.txt")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		medium := air.New(air.Config{})
		defer medium.Close()
		c := newChip(t, Config{Medium: medium})
		line := plugged(t, c, USB{})
		ear, err := medium.Join(air.StationConfig{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan air.Reception, 1)
		mod := radio.LoRa{SF: 7, Bandwidth: 125_000}
		go func() {
			r, _ := ear.Receive(t.Context(), air.Window{Freq: 868_100_000, Mod: mod, Until: medium.Now() + 60_000_000})
			heard <- r
		}()
		messages := 0
		for s := range strings.Lines(string(recorded)) {
			digits, firmware, _ := strings.Cut(strings.TrimSpace(s), " +")
			request, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := strconv.Atoi(firmware); err == nil {
				request = append(request, bytes.Repeat([]byte{0xA5}, n)...)
			}
			time.Sleep(12 * time.Millisecond) // the program's own waits are not in the recording
			exchangeOnLine(t, line, request)
			messages++
		}
		if n := c.Violations(); n > 0 || messages < 300 {
			t.Errorf("%d violations in %d messages", n, messages)
		}
		if r := <-heard; len(r.Payload) != 20 || r.Outcome != air.Clear {
			t.Errorf("on the air: %d bytes, %v", len(r.Payload), r.Outcome)
		}
	})
}

// exchangeOnLine sends a request and checks the form of its answer.
func exchangeOnLine(t *testing.T, line net.Conn, request []byte) {
	t.Helper()
	if err := line.SetDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := line.Write(request); err != nil {
		t.Fatal(err)
	}
	var head [bridge.HeaderSize]byte
	if _, err := io.ReadFull(line, head[:]); err != nil {
		t.Fatalf("% x: %v", request[:bridge.HeaderSize], err)
	}
	asked, h := bridge.ParseHeader(request), bridge.ParseHeader(head[:])
	payload := make([]byte, h.Size)
	if _, err := io.ReadFull(line, payload); err != nil {
		t.Fatal(err)
	}
	if h.ID != asked.ID || h.Order != bridge.AnswerTo(asked.Order) {
		t.Fatalf("% x is answered by % x", request[:bridge.HeaderSize], head)
	}
	if h.Order != bridge.AnswerTo(bridge.MultipleSPI) {
		return
	}
	for requests := request[bridge.HeaderSize:]; len(requests) > 0; {
		r, rest, _ := bridge.NextRequest(requests)
		a, more, err := bridge.NextAnswer(payload)
		if err != nil || a.Number != r.Number || a.Kind != r.Kind || a.Result != bridge.Done || r.Kind == bridge.ReadWrite && len(a.Data) != len(r.Data) {
			t.Fatalf("%+v is answered by %+v, %v", r, a, err)
		}
		requests, payload = rest, more
	}
	if len(payload) != 0 {
		t.Fatalf("% x follows the answers", payload)
	}
}
