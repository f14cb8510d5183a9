package board

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder notes each level with the time since the start.
type recorder struct {
	start time.Time
	log   []string
	fail  Pin
}

func (r *recorder) Out(p Pin, high bool) error {
	if p == r.fail {
		return errors.New("device or resource busy")
	}
	r.log = append(r.log, fmt.Sprintf("%v %v=%v", time.Since(r.start), p, high))
	return nil
}

func (r *recorder) Close() error { return nil }

func mustLookup(t *testing.T, name string) Board {
	t.Helper()
	b, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The order and the 100 ms are those of the vendor's reset script.
func TestResetPowersThenPulsesTheLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{start: time.Now()}
		if err := mustLookup(t, "semtech-corecell").reset(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"0s GPIO18=true",
			"100ms GPIO23=true", "200ms GPIO23=false",
			"300ms GPIO22=false", "400ms GPIO22=true",
		}
		if !slices.Equal(r.log, want) {
			t.Errorf("got %v, want %v", r.log, want)
		}
	})
}

func TestResetLeavesOutLinesThatTheBoardLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{start: time.Now()}
		if err := mustLookup(t, "rak2287").reset(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if want := []string{"0s GPIO17=true", "100ms GPIO17=false"}; !slices.Equal(r.log, want) {
			t.Errorf("got %v, want %v", r.log, want)
		}
	})
}

func TestHoldAssertsTheResetLine(t *testing.T) {
	r := &recorder{start: time.Now()}
	if err := mustLookup(t, "rak2287").hold(r); err != nil {
		t.Fatal(err)
	}
	if len(r.log) != 1 || !strings.HasSuffix(r.log[0], "GPIO17=true") {
		t.Errorf("got %v", r.log)
	}
}

func TestResetNamesTheLineThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := mustLookup(t, "semtech-corecell").reset(t.Context(), &recorder{start: time.Now(), fail: 23})
		if err == nil || !strings.Contains(err.Error(), "GPIO23") || !strings.Contains(err.Error(), "busy") {
			t.Errorf("got %v", err)
		}
	})
}

func TestResetEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := mustLookup(t, "semtech-corecell").reset(ctx, &recorder{start: time.Now()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestMissingPortSaysWhatToDo(t *testing.T) {
	_, err := openSPI("/dev/spidev99.9", 1)
	if err == nil || !strings.Contains(err.Error(), "/dev/spidev99.9") || !strings.Contains(err.Error(), "dtparam=spi=on") {
		t.Errorf("got %v", err)
	}
	if _, err := openSPI("/dev/ttyS0", 1); err == nil || !strings.Contains(err.Error(), "/dev/spidevBUS.CS") {
		t.Errorf("got %v", err)
	}
}
