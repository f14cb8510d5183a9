package reg_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"gatewayd/concentrator/reg"
)

type named struct {
	name     string
	field    reg.Field
	readOnly bool
}

var line = regexp.MustCompile(`(?m)^\t(\w+)\s+Field = (0x[0-9A-Fa-f_]+)( // read-only)?`)

// fields reads all field constants from the package's source.
func fields(t *testing.T) []named {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []named
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(text), -1) {
			v, err := strconv.ParseUint(m[2], 0, 32)
			if err != nil {
				t.Fatalf("%s: %v", m[1], err)
			}
			out = append(out, named{m[1], reg.Field(v), m[3] != ""})
		}
	}
	if len(out) < 500 {
		t.Fatalf("only %d fields found", len(out))
	}
	return out
}

func TestEveryFieldLiesInItsByte(t *testing.T) {
	used := map[reg.Addr]byte{}
	for _, n := range fields(t) {
		f := n.field
		b, ok := reg.Lookup(f.Addr())
		if !ok {
			t.Errorf("%s %v: no such byte", n.name, f)
			continue
		}
		if f.Width() < 1 || f.Shift()+f.Width() > 8 {
			t.Errorf("%s %v crosses its byte", n.name, f)
		}
		if f.Mask()&^b.Defined != 0 {
			t.Errorf("%s %v: bits 0x%02x don't exist", n.name, f, f.Mask()&^b.Defined)
		}
		if ro := f.Mask()&b.ReadOnly == f.Mask(); ro != n.readOnly {
			t.Errorf("%s %v: read-only is %v in the table of bytes, %v in the source", n.name, f, ro, n.readOnly)
		}
		if used[f.Addr()]&f.Mask() != 0 {
			t.Errorf("%s %v overlaps another field", n.name, f)
		}
		used[f.Addr()] |= f.Mask()
	}
}

func TestEveryTransmitFieldExistsOnBothChains(t *testing.T) {
	for _, n := range fields(t) {
		f := n.field
		if f.Addr() < 0x5200 || f.Addr() >= 0x5300 {
			continue
		}
		a, _ := reg.Lookup(f.Addr())
		b, ok := reg.Lookup(f.Chain(1).Addr())
		if !ok || a != b || f.Chain(1).Mask() != f.Mask() || f.Chain(0) != f {
			t.Errorf("%s: %+v on chain 0, %+v on chain 1", n.name, a, b)
		}
	}
}

func TestResetValuesHaveOnlyExistingBits(t *testing.T) {
	n := 0
	reg.Each(func(a reg.Addr, b reg.Byte) {
		n++
		if b.Reset&^b.Defined != 0 || b.ReadOnly&^b.Defined != 0 {
			t.Errorf("0x%04x: %+v", a, b)
		}
		if a < 0x5200 || a >= 0x6200 {
			t.Errorf("0x%04x is no register", a)
		}
	})
	if n < 500 {
		t.Errorf("only %d bytes", n)
	}
	// The chip's version, from Semtech's data sheet.
	if b, _ := reg.Lookup(0x5606); b.Reset != 0x10 || b.ReadOnly != 0xFF {
		t.Errorf("version: %+v", b)
	}
	if _, ok := reg.Lookup(0x5300); ok {
		t.Error("the transmit buffer is no register")
	}
}

func TestFieldArithmetic(t *testing.T) {
	f := reg.Field(0x5780_3_2)
	if f.Addr() != 0x5780 || f.Shift() != 3 || f.Width() != 2 || f.Mask() != 0x18 {
		t.Errorf("%v", f)
	}
	if f.Get(0xF5) != 2 || f.Set(0xFF, 1) != 0xEF || f.Set(0, 7) != 0x18 {
		t.Errorf("get %d, set 0x%02x 0x%02x", f.Get(0xF5), f.Set(0xFF, 1), f.Set(0, 7))
	}
	if f.String() != "0x5780.3:2" {
		t.Error(f.String())
	}
}
