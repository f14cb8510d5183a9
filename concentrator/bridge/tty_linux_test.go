package bridge

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatewayd/concentrator/tty"
)

// onTerminal lets a well-behaved card serve a pseudo terminal.
func onTerminal(t *testing.T) *tty.Terminal {
	t.Helper()
	term, err := tty.NewTerminal()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var head [HeaderSize]byte
			if _, err := io.ReadFull(term, head[:]); err != nil {
				return
			}
			h := ParseHeader(head[:])
			payload := make([]byte, h.Size)
			if _, err := io.ReadFull(term, payload); err != nil {
				return
			}
			if _, err := term.Write(well(h, payload)); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = term.Close()
		<-done
	})
	return term
}

// Every byte value, in messages longer than a tty's buffer.
func TestATTYCarriesAllBytesAsTheyAre(t *testing.T) {
	term := onTerminal(t)
	p, err := Open(Scheme+term.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w, r := make([]byte, MaxFrame), make([]byte, MaxFrame)
	for i := range w {
		w[i] = byte(i)
	}
	for range 3 {
		if err := p.Tx(w, r); err != nil {
			t.Fatal(err)
		}
		for i := range r {
			if r[i] != ^w[i] {
				t.Fatalf("byte %d: 0x%02X for 0x%02X", i, r[i], w[i])
			}
		}
	}
}

func TestATTYIsUsedByOneAtATime(t *testing.T) {
	term := onTerminal(t)
	p, err := Open(Scheme+term.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Scheme+term.Path, nil); !errors.Is(err, ErrLine) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a second one: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Scheme+term.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestAnUnpluggedTTYIsALineError(t *testing.T) {
	term := onTerminal(t)
	p, err := Open(Scheme+term.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Tx([]byte{1}, nil); !errors.Is(err, ErrLine) {
			t.Error(err)
		}
	}
}

func TestWhatIsNoTTYSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"/dev/ttyACM0":             "usb:PATH",
		"usb:":                     "usb:PATH",
		"usb:/dev/ttyACM0-missing": "plug the concentrator in",
		"usb:" + file:              "is it a tty",
	} {
		if _, err := Open(name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v doesn't say %q", name, err, want)
		}
	}
}
