package sx1302sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
)

func newI2C(t *testing.T, cfg I2CConfig) *I2C {
	t.Helper()
	b, err := NewI2C(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Values of the STTS751 data sheet's table of temperatures, at 12 bits.
func TestTheThermometerShowsWhatItsDataSheetSays(t *testing.T) {
	celsius := 0.0
	b := newI2C(t, I2CConfig{Celsius: func() float64 { return celsius }})
	if err := b.Tx(0x39, []byte{0x03, 0x8C}, nil); err != nil {
		t.Fatal(err)
	}
	for c, want := range map[float64][2]byte{
		25: {0x19, 0x00}, 0.0625: {0x00, 0x10}, -0.0625: {0xFF, 0xF0}, -5: {0xFB, 0x00}, -40: {0xD8, 0x00}, 125: {0x7D, 0x00}, -10.25: {0xF5, 0xC0},
	} {
		celsius = c
		var high, low [1]byte
		if err := errors.Join(b.Tx(0x39, []byte{0x00}, high[:]), b.Tx(0x39, []byte{0x02}, low[:])); err != nil {
			t.Fatal(err)
		}
		if got := [2]byte{high[0], low[0]}; got != want {
			t.Errorf("%v °C reads %x, the data sheet says %x", c, got, want)
		}
	}
	celsius = 20.9375
	for config, want := range map[byte]byte{0x08: 0x80, 0x00: 0xC0, 0x04: 0xE0, 0x0C: 0xF0} { // 9 to 12 bits
		var low [1]byte
		if err := errors.Join(b.Tx(0x39, []byte{0x03, config}, nil), b.Tx(0x39, []byte{0x02}, low[:])); err != nil || low[0] != want {
			t.Errorf("configuration 0x%02x: low byte %02x, want %02x, %v", config, low, want, err)
		}
	}
	if err := b.Tx(0x39, []byte{0x03, 0x4C}, nil); err != nil { // standby
		t.Fatal(err)
	}
	celsius = 50
	var high [1]byte
	if err := b.Tx(0x39, []byte{0x00}, high[:]); err != nil || high[0] != 20 {
		t.Errorf("in standby it reads %d °C, %v", high[0], err)
	}
	if err := errors.Join(b.Tx(0x39, []byte{0x0F, 0}, nil), b.Tx(0x39, []byte{0x00}, high[:])); err != nil || high[0] != 50 {
		t.Errorf("after a single conversion %d °C, %v", high[0], err)
	}
}

func TestTheThermometerAnswersAtItsAddressOnly(t *testing.T) {
	for _, address := range []uint16{0x38, 0x39, 0x3B} {
		b := newI2C(t, I2CConfig{Thermometer: address})
		for _, a := range []uint16{0x38, 0x39, 0x3A, 0x3B, 0x48} {
			var id [3]byte
			err := b.Tx(a, []byte{0xFD}, id[:])
			if (err == nil) != (a == address) || err != nil && !errors.Is(err, ErrNoAcknowledge) {
				t.Errorf("one at 0x%02x, asked at 0x%02x: %v", address, a, err)
			}
			if err == nil && (id[0] != byte(a>>1&1) || id[1] != 0x53 || id[2] != 1) {
				t.Errorf("0x%02x: product, maker and revision %x", a, id)
			}
		}
	}
	if _, err := NewI2C(I2CConfig{Thermometer: 0x48}); err == nil {
		t.Error("a thermometer at 0x48 was accepted")
	}
	b := newI2C(t, I2CConfig{Missing: map[uint16]bool{0x39: true, 0x0C: true}})
	for _, a := range []uint16{0x39, 0x0C} {
		if err := b.Tx(a, []byte{0}, nil); !errors.Is(err, ErrNoAcknowledge) {
			t.Errorf("a device that is missing at 0x%02x: %v", a, err)
		}
	}
}

// The commands are those that the vendor's library was seen to write.
func TestTheAmplifiersDACFollowsTheRecordedCommands(t *testing.T) {
	b := newI2C(t, I2CConfig{})
	for _, step := range []struct {
		write []byte
		volts float64
	}{
		{[]byte{0x39, 0x80, 0x80}, 5 * 514. / 1024},
		{[]byte{0x69, 0x00}, 0},
		{[]byte{0x40, 0x00, 0x00}, 0},
		{[]byte{0x70, 0x00, 0x00}, 0},
		{[]byte{0x39, 0x80, 0x80}, 5 * 514. / 1024},
		{[]byte{0x11, 0xFF, 0xFF}, 5 * 514. / 1024}, // its input only
		{[]byte{0x21, 0x00, 0x00}, 5 * 1023. / 1024},
		{[]byte{0x40, 0x00, 0x01}, 0}, // power down A
	} {
		if err := b.Tx(0x0C, step.write, nil); err != nil {
			t.Fatal(err)
		}
		if got := b.Volts(); got != step.volts {
			t.Errorf("after %x: %v V, want %v", step.write, got, step.volts)
		}
	}
}

func TestTheI2CSocketSpeaksItsProtocol(t *testing.T) {
	b := newI2C(t, I2CConfig{Celsius: func() float64 { return -10.25 }})
	dial := serveOn(t, func(ctx context.Context, l net.Listener) error { return b.Serve(ctx, l, slog.New(slog.DiscardHandler)) })
	c := dial()
	for _, x := range []struct{ request, response []byte }{
		{[]byte{0, 0, 0, 4, 0x39, 0, 0x03, 0x8C}, []byte{0}},
		{[]byte{0, 0, 0, 3, 0x39, 1, 0x00}, []byte{0, 0xF5}},
		{[]byte{0, 0, 0, 3, 0x39, 1, 0x02}, []byte{0, 0xC0}},
		{[]byte{0, 0, 0, 3, 0x3B, 2, 0x00}, []byte{1, 0, 0}},
		{[]byte{0, 0, 0, 5, 0x0C, 0, 0x39, 0x80, 0x80}, []byte{0}},
	} {
		got := make([]byte, len(x.response))
		if _, err := c.Write(x.request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, x.response) {
			t.Errorf("%x is answered with %x, %v; want %x", x.request, got, err, x.response)
		}
	}
	for _, wrong := range [][]byte{{0, 0, 0, 1, 0x39}, {0, 0, 0, 2, 0x80, 1}} {
		c := dial()
		if _, err := c.Write(wrong); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%x is answered with %d bytes", wrong, n)
		}
	}
}
