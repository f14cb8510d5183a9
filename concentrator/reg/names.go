package reg

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// names.csv has the names of the fields as they stand in this package's
// source. A test compares both, and writes it: go test -run Names -update.
//
//go:embed names.csv
var namesCSV string

// Names are those of the fields in the byte at a, such as
// "TXTrigImmediate"; in the memories and buffers, the name of that. There is
// none where the chip has nothing.
func Names(a Addr) []string {
	for _, m := range []struct {
		from Addr
		size int
		name string
	}{
		{AGCMemory, MCUMemorySize, "AGCMemory"}, {ARBMemory, MCUMemorySize, "ARBMemory"}, {RXFIFO, 1, "RXFIFO"},
		{TXBuffer0, TXBufferSize, "TXBuffer0"}, {TXBuffer1, TXBufferSize, "TXBuffer1"},
	} {
		if a >= m.from && int(a) < int(m.from)+m.size {
			return []string{m.name}
		}
	}
	// Both transmit chains look alike.
	if chain1 := TXTrigImmediate.Chain(1).Addr(); a >= chain1 && a < TXBuffer1 {
		var out []string
		for _, n := range nameTable()[a-chainStride] {
			out = append(out, n+".Chain(1)")
		}
		return out
	}
	return nameTable()[a]
}

var nameTable = sync.OnceValue(func() map[Addr][]string {
	rows, err := csv.NewReader(strings.NewReader(namesCSV)).ReadAll()
	if err != nil {
		panic(err) // embedded at build time, covered by a test
	}
	m := map[Addr][]string{}
	for _, r := range rows[1:] {
		v, err := strconv.ParseUint(r[0], 0, 32)
		if err != nil {
			panic(fmt.Errorf("names.csv: %w", err))
		}
		a := Field(v).Addr()
		m[a] = append(m[a], r[1])
	}
	return m
})
