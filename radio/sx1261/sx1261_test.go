package sx1261

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio"
)

func text(list ...Request) (out string) {
	for _, q := range list {
		out += strings.TrimSpace(hex.EncodeToString([]byte{byte(q.Op)})+" "+hex.EncodeToString(q.Args)) + "\n"
	}
	return out
}

// The commands of a recorded transmission with LBT on 923.2 MHz at -80 dBm,
// in the order in which the vendor's library sends them.
func TestCommandsAreThoseOfTheReference(t *testing.T) {
	tune, measure := Tune(923_200_000), Measure(Width125)
	got := text(Stop()...) + text(tune[:2]...) + text(measure...) + text(tune[2:]...) + text(LBT(Scan5000, -80)) + text(Spectrum(2000), AskState())
	want := "0d 089b00\nc1\n86 39b33333\n0d 089b14\n8a 00\n8b 001400000a02e90f\n8c 002005200001ff0000\n82 ffffff\n9a 0b02cba001\n9b 07d00b000000000000\n1d 07cd0000\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if w := text(Measure(Width250)[1], LBT(Scan128, -200)); w != "8b 001400000902e90f\n9a 0b0018ff01\n" {
		t.Error(w)
	}
}

func TestAnswersAreRead(t *testing.T) {
	if err := CheckReceiving([]byte{0x52}); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{{0x22}, {0}, {0xFF}, nil} {
		if err := CheckReceiving(bad); !errors.Is(err, ErrMode) {
			t.Errorf("% X: %v", bad, err)
		}
	}
	for b, want := range map[byte]ScanState{0: NoScan, 0x0F: ScanRuns, 0xF0: ScanAborted, 0xFF: ScanDone} {
		if s, err := ParseState([]byte{0x52, 0x52, 0x52, b}); s != want || err != nil {
			t.Errorf("0x%02X: %v, %v", b, s, err)
		}
	}
	if _, err := ParseState([]byte{0x52, 0x52, 0x52, 0x33}); !errors.Is(err, ErrAnswer) {
		t.Error(err)
	}
	answer := make([]byte, 69)
	answer[3], answer[4], answer[67], answer[68] = 1, 2, 3, 4
	if c, err := ParseResults(answer); err != nil || c[0] != 0x0102 || c[32] != 0x0304 {
		t.Errorf("%v, %v", c, err)
	}
	if Level(0) != 0 || Level(31) != -124 || Level(32) != -124 || Level(20) != radio.DBm(-80) {
		t.Error("levels as recorded: 0, -4 ... -124, -124")
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0x52, 0x52, 0x52, 0xFF})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, err := ParseState(answer); err == nil && len(answer) != 4 {
			t.Error("a state from", len(answer), "bytes")
		}
		if _, err := ParseResults(answer); (err == nil) != (len(answer) == 69) {
			t.Error(err)
		}
		_ = CheckReceiving(answer)
	})
}

// script answers every command with a status and what it was told.
type script struct {
	status  byte
	version string
	fail    Op
	sent    []byte
}

func (s *script) Command(op byte, args []byte) ([]byte, error) {
	if Op(op) == s.fail {
		return nil, errors.New("broken wire")
	}
	s.sent = append(s.sent, op)
	answer := bytes.Repeat([]byte{s.status}, len(args))
	if Op(op) == ReadRegister && len(args) == 18 {
		copy(answer[3:], s.version)
	}
	return answer, nil
}

func TestPatchErrorsSayWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, x := range []struct {
			s    script
			want error
			says string
		}{
			{script{status: 0x22, version: "SX1261 V2D 2D06"}, nil, ""},
			{script{status: 0x22, version: "SX1261 V2D 2D02"}, ErrVersion, "2D02"},
			{script{status: 0x00}, ErrMode, "chip select"},
			{script{status: 0x2A}, ErrMode, "crystal"},
			{script{status: 0x22, fail: UpdatePatch}, nil, "broken wire"},
		} {
			err := New(&x.s).Patch(t.Context(), make([]byte, PatchSize))
			if x.says == "" && err != nil || x.says != "" && (err == nil || !strings.Contains(err.Error(), x.says)) || x.want != nil && !errors.Is(err, x.want) {
				t.Errorf("%+v: %v", x, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := New(&script{status: 0x22}).SetUp(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with 1 ms: %v", err)
		}
		if err := New(&script{status: 0x12}).CalibrateImage(t.Context(), [2]byte{1, 2}); !errors.Is(err, ErrImage) {
			t.Errorf("device errors 0x1212: %v", err)
		}
	})
}
