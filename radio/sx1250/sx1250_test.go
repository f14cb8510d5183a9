package sx1250_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"gatewayd/radio"
	"gatewayd/radio/sx1250"
)

func rows(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestImageCalibrationArgumentsEqualTheReference(t *testing.T) {
	for _, r := range rows(t, "testdata/sx1250_image_calibration.csv") {
		f := radio.Hertz(number(t, r[0]))
		args, err := sx1250.ImageArguments(f)
		if r[1] == "error" {
			if !errors.Is(err, sx1250.ErrBand) {
				t.Errorf("%d Hz: %v, want ErrBand", f, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d Hz: %v", f, err)
		}
		if want := [2]byte{byte(number(t, r[2])), byte(number(t, r[3]))}; args != want {
			t.Errorf("%d Hz: % X, want % X", f, args, want)
		}
	}
}

func TestFrequencyWordsEqualTheReference(t *testing.T) {
	for _, r := range rows(t, "testdata/freq_words.csv") {
		if got := sx1250.FrequencyWord(radio.Hertz(number(t, r[0]))); int64(got) != number(t, r[1]) {
			t.Errorf("%s Hz: 0x%08X, want %s", r[0], got, r[1])
		}
	}
}

// chip answers as an SX1250 does and notes the commands.
type chip struct {
	log    []string
	mode   byte
	errors byte
	stuck  bool
	fail   int // the nth command fails, from 1
}

var errWire = errors.New("wire broken")

func (c *chip) Command(op byte, args []byte) ([]byte, error) {
	c.log = append(c.log, fmt.Sprintf("%02x %x", op, args))
	if len(c.log) == c.fail {
		return nil, errWire
	}
	answer := make([]byte, len(args))
	switch sx1250.Op(op) {
	case sx1250.SetStandby:
		if !c.stuck {
			c.mode = 2 + args[0]
		}
	case sx1250.GetStatus:
		answer[0] = c.mode<<4 | 2
	case sx1250.GetDeviceErrors:
		answer[2] = c.errors
	}
	return answer, nil
}

// The order is that of traces/start_cn490_sx1250 (single input).
func TestSetUpSendsTheReferenceCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &chip{}
		if err := sx1250.New(c).SetUp(t.Context(), 471_400_000, true); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"80 00", "c0 00", "89 7f", "80 01", "c0 00",
			"0d 06a101", "0d 06a200", "0d 06a300", "0d 058200", "0d 058300", "0d 058400", "0d 058500", "0d 058000", "0d 08b62a",
			"86 1d766666", "0d 088f000000", "82 ffffff", "0d 08e20d", "0d 05870b",
		}
		if !slices.Equal(c.log, want) {
			t.Errorf("sent\n%q, want\n%q", c.log, want)
		}
	})
}

func TestCalibrateImageReportsTheChipsVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &chip{mode: 2}
		if err := sx1250.New(good).CalibrateImage(t.Context(), 868_500_000); err != nil {
			t.Error(err)
		}
		if want := []string{"c0 00", "98 d7db", "17 000000"}; !slices.Equal(good.log, want) {
			t.Errorf("sent %q, want %q", good.log, want)
		}
		if err := sx1250.New(&chip{errors: 0x10}).CalibrateImage(t.Context(), 868_500_000); !errors.Is(err, sx1250.ErrImage) {
			t.Errorf("%v, want ErrImage", err)
		}
	})
}

func TestARadioThatStaysInItsModeIsAnErrorNotAHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := sx1250.New(&chip{stuck: true}).SetUp(t.Context(), 868_500_000, false); !errors.Is(err, sx1250.ErrMode) {
			t.Errorf("%v, want ErrMode", err)
		}
	})
}

func TestEveryFailingCommandEndsTheSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; n <= 18; n++ {
			if err := sx1250.New(&chip{fail: n}).SetUp(t.Context(), 868_500_000, false); !errors.Is(err, errWire) {
				t.Errorf("command %d failed, SetUp says %v", n, err)
			}
		}
		for n := 1; n <= 3; n++ {
			if err := sx1250.New(&chip{fail: n}).CalibrateImage(t.Context(), 868_500_000); !errors.Is(err, errWire) {
				t.Errorf("command %d failed, CalibrateImage says %v", n, err)
			}
		}
	})
}

func TestAnEndedContextStopsTheWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := sx1250.New(&chip{}).SetUp(ctx, 868_500_000, false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
