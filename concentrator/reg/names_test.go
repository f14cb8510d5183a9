package reg_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"gatewayd/concentrator/reg"
)

var update = flag.Bool("update", false, "write names.csv anew")

func TestNamesAreThoseOfTheSource(t *testing.T) {
	var want strings.Builder
	want.WriteString("field,name\n")
	all := fields(t)
	for _, n := range all {
		fmt.Fprintf(&want, "0x%06x,%s\n", uint32(n.field), n.name)
	}
	if *update {
		if err := os.WriteFile("names.csv", []byte(want.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Skip("names.csv is written; run the test again without -update")
	}
	if have, err := os.ReadFile("names.csv"); err != nil || string(have) != want.String() {
		t.Errorf("names.csv is not what the source says (%v); run: go test ./concentrator/reg -run Names -update", err)
	}
	for _, n := range all {
		if !slices.Contains(reg.Names(n.field.Addr()), n.name) {
			t.Errorf("%s is not among the names of its byte, %v", n.name, reg.Names(n.field.Addr()))
		}
	}
	for a, name := range map[reg.Addr]string{
		0x0000: "AGCMemory", 0x3FFF: "ARBMemory", 0x4000: "RXFIFO", 0x5300: "TXBuffer0", 0x55FF: "TXBuffer1", 0x5411: "TXFsmStatusTX.Chain(1)",
	} {
		if got := reg.Names(a); len(got) != 1 || got[0] != name {
			t.Errorf("names of 0x%04x: %v, want %s", uint16(a), got, name)
		}
	}
	if got := reg.Names(0x4001); len(got) != 0 {
		t.Errorf("0x4001 is named %v; there is nothing", got)
	}
}
