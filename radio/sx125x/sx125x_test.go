package sx125x

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
)

// chip is a radio as its registers show it.
type chip struct {
	regs   [128]byte
	stuck  byte // this register keeps its value
	deaf   bool // PLLs never lock
	writes []string
	fails  int // the access that fails, from 1
	count  int
}

var errBus = errors.New("bus")

func (c *chip) Command(a byte, data []byte) ([]byte, error) {
	if c.count++; c.count == c.fails {
		return nil, errBus
	}
	if a&writeFlag == 0 {
		return []byte{c.regs[a]}, nil
	}
	a &^= writeFlag
	c.writes = append(c.writes, strconv.Itoa(int(a)))
	if a != c.stuck || c.stuck == 0 {
		c.regs[a] = data[0]
	}
	if a == RegMode && !c.deaf {
		c.regs[RegModeStatus] = c.regs[RegMode]>>2&1 | c.regs[RegMode]&2
	}
	return []byte{0}, nil
}

func newChip(k Kind) *chip {
	c := new(chip)
	c.regs[RegVersion] = map[Kind]byte{SX1255: 0x11, SX1257: 0x21}[k]
	return c
}

// Expected words: recorded table freq_words.
func TestFrequencyWordsEqualTheReference(t *testing.T) {
	f, err := os.Open("../../concentrator/testdata/freq_words.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil || len(rows) < 20 {
		t.Fatal(len(rows), err)
	}
	for _, r := range rows[1:] {
		hz, _ := strconv.ParseInt(r[0], 10, 64)
		for k, column := range map[Kind]int{SX1257: 3, SX1255: 4} {
			if r[column] == "" {
				continue // above what 24 bits hold
			}
			want, err := strconv.ParseUint(r[column], 0, 32)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.FrequencyWord(radio.Hertz(hz)); uint64(got) != want {
				t.Errorf("%v at %d Hz: 0x%06X, recorded 0x%06X", k, hz, got, want)
			}
		}
	}
}

func TestSetUpEndsInReceptionAtTheFrequency(t *testing.T) {
	for k, crystal := range map[Kind]byte{SX1255: 0x28, SX1257: 0x26} {
		synctest.Test(t, func(t *testing.T) {
			c := newChip(k)
			f := radio.Hertz(867_500_000)
			if k == SX1255 {
				f = 472_000_000
			}
			if err := New(c, k).SetUp(context.Background(), f, true); err != nil {
				t.Fatal(err)
			}
			w := k.FrequencyWord(f)
			if c.regs[1] != byte(w>>16) || c.regs[2] != byte(w>>8) || c.regs[3] != byte(w) {
				t.Errorf("%v: frequency % x", k, c.regs[1:4])
			}
			if c.regs[RegMode] != 3 || c.regs[RegClkSelect] != 2 || c.regs[crystal] != 0x2D {
				t.Errorf("%v: mode %#x, clock %#x, crystal %#x", k, c.regs[RegMode], c.regs[RegClkSelect], c.regs[crystal])
			}
		})
	}
}

func TestWhatARadioDoesWrongHasAName(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*chip)
		want   error
	}{
		"other version": {func(c *chip) { c.regs[RegVersion] = 0x11 }, ErrVersion},
		"no radio":      {func(c *chip) { c.regs[RegVersion] = 0xFF }, ErrVersion},
		"stuck":         {func(c *chip) { c.stuck = RegRXBW }, ErrRegister},
		"no lock":       {func(c *chip) { c.deaf = true }, ErrLock},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newChip(SX1257)
			x.change(c)
			begin := time.Now()
			if err := New(c, SX1257).SetUp(context.Background(), 868_000_000, false); !errors.Is(err, x.want) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begin); took > 20*time.Millisecond {
				t.Errorf("%s took %v", name, took)
			}
		})
	}
}

func TestEachFailedAccessEndsTheSetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(SX1257)
		if err := New(c, SX1257).SetUp(context.Background(), 868_000_000, false); err != nil {
			t.Fatal(err)
		}
		total := c.count
		for n := 1; n <= total; n++ {
			c := newChip(SX1257)
			c.fails = n
			if err := New(c, SX1257).SetUp(context.Background(), 868_000_000, false); !errors.Is(err, errBus) || !strings.Contains(err.Error(), "radio register 0x") {
				t.Errorf("access %d of %d fails: %v", n, total, err)
			}
		}
	})
}

func TestCalibrationTunesToneAndReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newChip(SX1257), newChip(SX1257)
		f := radio.Hertz(867_500_000)
		rx, tx := New(a, SX1257), New(b, SX1257)
		if err := ImageTest(t.Context(), rx, tx, f); err != nil {
			t.Fatal(err)
		}
		word := func(c *chip, at int) uint32 {
			return uint32(c.regs[at])<<16 | uint32(c.regs[at+1])<<8 | uint32(c.regs[at+2])
		}
		if word(a, RegFrfRX) != SX1257.FrequencyWord(f) || word(b, RegFrfTX) != SX1257.FrequencyWord(f+Tone) || a.regs[RegMode] != 3 || b.regs[RegMode] != 13 {
			t.Errorf("image: %x, %x, modes %d, %d", word(a, RegFrfRX), word(b, RegFrfTX), a.regs[RegMode], b.regs[RegMode])
		}
		if err := rx.LeakageTest(t.Context(), f, 3, 9); err != nil {
			t.Fatal(err)
		}
		if word(a, RegFrfRX) != SX1257.FrequencyWord(f-Tone) || word(a, RegFrfTX) != SX1257.FrequencyWord(f) || a.regs[RegTXGain] != 0x39 || a.regs[RegClkSelect] != 7 || a.regs[RegMode] != 15 {
			t.Errorf("leakage: % x", a.regs[:0x12])
		}
		a.deaf, b.deaf = true, true
		a.regs[RegModeStatus], b.regs[RegModeStatus] = 2, 0
		if err := ImageTest(t.Context(), rx, tx, f); !errors.Is(err, ErrLock) || !strings.Contains(err.Error(), "transmitter") {
			t.Errorf("an unlocked transmitter: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := rx.LeakageTest(ctx, f, 3, 9); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestBandsAreThoseOfTheDataSheets(t *testing.T) {
	for _, x := range []struct {
		k  Kind
		f  radio.Hertz
		ok bool
	}{{SX1255, 400_000_000, true}, {SX1255, 510_000_000, true}, {SX1255, 510_000_001, false}, {SX1255, 868_000_000, false},
		{SX1257, 862_000_000, true}, {SX1257, 1_020_000_000, true}, {SX1257, 470_000_000, false}, {SX1257, 861_999_999, false}} {
		if err := x.k.CheckFrequency(x.f); (err == nil) != x.ok || err != nil && !errors.Is(err, ErrBand) {
			t.Errorf("%v at %d: %v", x.k, x.f, err)
		}
	}
}

// What was written and read back is not written again; what could not be
// proven is, and the mode always.
func TestOnlyChangesAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChip(SX1257)
		r := New(c, SX1257)
		prepare := func(mixer uint8) (writes int, err error) {
			c.writes = nil
			err = r.LeakageTest(t.Context(), 868_000_000, 3, mixer)
			return len(c.writes), err
		}
		first, err := prepare(9)
		if err != nil || first < 12 {
			t.Fatalf("%d registers written, %v", first, err)
		}
		// The clock selection twice, the gain, and the mode.
		if n, err := prepare(10); n != 4 || err != nil || c.regs[RegTXGain] != 0x3A || c.regs[RegClkSelect] != 7 {
			t.Errorf("another gain: %v written, %v", c.writes, err)
		}
		c.stuck = RegTXGain
		if _, err := prepare(11); !errors.Is(err, ErrRegister) {
			t.Errorf("a register that is stuck: %v", err)
		}
		c.stuck = 0
		if _, err := prepare(10); err != nil || c.regs[RegTXGain] != 0x3A {
			t.Errorf("gain 0x%02X, %v", c.regs[RegTXGain], err)
		}
		c.writes = nil
		if err := New(c, SX1257).SetUp(t.Context(), 868_000_000, true); err != nil || len(c.writes) < 12 {
			t.Errorf("after a reset only %v are written, %v", c.writes, err)
		}
	})
}
