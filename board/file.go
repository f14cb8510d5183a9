package board

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"gatewayd/concentrator"
	"gatewayd/concentrator/bridge"
)

// files are the boards that are known, a file each.
//
//go:embed boards/*.toml
var files embed.FS

// file is a board as it is written down. A key that is not there has the
// value of the base, if there is one.
type file struct {
	Base      string `toml:"base"`       // the board that this one differs from
	BandsOnly bool   `toml:"bands_only"` // the base's bands don't go for it
	Board
}

// Names lists the names that [Lookup] knows, sorted.
func Names() []string {
	entries, err := files.ReadDir("boards")
	if err != nil {
		return nil // it is compiled in
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	slices.Sort(names)
	return names
}

// Lookup finds a board by name, in any case, or reads the TOML file at an
// absolute path. The error lists all names, or says what is wrong with the
// file and where.
func Lookup(name string) (Board, error) {
	if filepath.IsAbs(name) {
		text, err := os.ReadFile(name)
		if err != nil {
			return Board{}, fmt.Errorf("board file: %w", err)
		}
		b, err := parse(strings.TrimSuffix(filepath.Base(name), ".toml"), text)
		if err != nil {
			return Board{}, fmt.Errorf("board file %s: %w", name, err)
		}
		return b, nil
	}
	for _, n := range Names() {
		if strings.EqualFold(n, name) {
			text, err := files.ReadFile(path.Join("boards", n+".toml"))
			if err != nil {
				return Board{}, err
			}
			return parse(n, text)
		}
	}
	return Board{}, fmt.Errorf("no board named %q; known: %s; or the absolute path of a board file", name, strings.Join(Names(), ", "))
}

// maxBases bounds a chain of boards that differ from one another.
const maxBases = 8

// parse reads a board's file over what its base says.
func parse(name string, text []byte) (Board, error) { return parseOver(name, text, maxBases) }

func parseOver(name string, text []byte, depth int) (Board, error) {
	var head file
	if err := decode(text, &head); err != nil {
		return Board{}, err
	}
	whole := file{}
	if head.Base != "" {
		base, err := baseOf(head.Base, depth)
		if err != nil {
			return Board{}, fmt.Errorf("base = %q: %w", head.Base, err)
		}
		whole.Board = base
		whole.Notes, whole.Sources, whole.Thermometers, whole.Bands = nil, nil, nil, nil
		if err := decode(text, &whole); err != nil {
			return Board{}, err
		}
		if whole.Thermometers == nil {
			whole.Thermometers = base.Thermometers
		}
		if !head.BandsOnly {
			whole.Bands = append(whole.Bands, without(base.Bands, whole.Bands)...)
		}
	} else {
		whole = head
	}
	whole.Name = name
	if err := whole.check(); err != nil {
		return Board{}, err
	}
	return whole.Board, nil
}

func baseOf(name string, depth int) (Board, error) {
	if depth == 0 {
		return Board{}, errors.New("boards that are based on one another in a circle")
	}
	i := slices.IndexFunc(Names(), func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		return Board{}, fmt.Errorf("no such board; known: %s", strings.Join(Names(), ", "))
	}
	text, err := files.ReadFile(path.Join("boards", Names()[i]+".toml"))
	if err != nil {
		return Board{}, err
	}
	return parseOver(Names()[i], text, depth-1)
}

// without are the bands that lose the names which others have taken over.
func without(bands, others []Band) []Band {
	var rest []Band
	for _, b := range bands {
		b.Names = slices.DeleteFunc(slices.Clone(b.Names), func(n string) bool {
			return slices.ContainsFunc(others, func(o Band) bool { return slices.Contains(o.Names, n) })
		})
		if len(b.Names) > 0 {
			rest = append(rest, b)
		}
	}
	return rest
}

// decode reads TOML strictly: an unknown key is a fault. Errors have a line.
func decode(text []byte, into *file) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into)
	var unknown *toml.StrictMissingError
	var fault *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		e := unknown.Errors[0]
		row, _ := e.Position()
		return fmt.Errorf("line %d: unknown key %s; \"gatewayd board show rak2287\" shows the keys", row, strings.Join(e.Key(), "."))
	case errors.As(err, &fault):
		row, _ := fault.Position()
		return fmt.Errorf("line %d: %s: %w", row, strings.Join(fault.Key(), "."), fault)
	}
	return err
}

// maxPin is the highest number of a line that a Raspberry Pi or one of its
// compute modules brings out.
const maxPin = 45

// check finds what no board can be.
func (b Board) check() error {
	wrong := func(key string, value any, allowed string) error {
		return fmt.Errorf("%s = %v: %s", key, value, allowed)
	}
	taken := map[Pin]string{}
	for _, l := range b.lines() {
		if l.pin < 0 || l.pin > maxPin {
			return wrong(l.key, int(l.pin), fmt.Sprintf("a BCM number is wanted, 1 to %d, or 0 for none", maxPin))
		}
		if other, double := taken[l.pin]; double && l.pin != 0 {
			return wrong(l.key, int(l.pin), "that line is "+other)
		}
		taken[l.pin] = l.key
	}
	if _, ok := radioTypes()[b.Radio]; !ok {
		return wrong("radio", fmt.Sprintf("%q", b.Radio), "SX1250, SX1255 or SX1257 is wanted")
	}
	if b.ClockSource != 0 && b.ClockSource != 1 {
		return wrong("clock_source", b.ClockSource, "0 or 1 is wanted")
	}
	if b.SPIHz < 100_000 || b.SPIHz > 10_000_000 {
		return wrong("spi_hz", b.SPIHz, "100000 to 10000000 is wanted")
	}
	if !b.USB() {
		if _, _, err := spiNode(b.SPI); err != nil {
			return wrong("spi", fmt.Sprintf("%q", b.SPI), "/dev/spidevBUS.CS or "+bridge.Scheme+"/dev/ttyACM0 is wanted")
		}
	}
	if k := b.GNSS.Kind; k != "" && k != UBlox && k != NMEA {
		return wrong("gnss.kind", fmt.Sprintf("%q", k), `"", "u-blox" or "NMEA" is wanted`)
	}
	return b.checkBands()
}

func (b Board) checkBands() error {
	if len(b.Bands) == 0 {
		return errors.New("no [[band]]: one with a gain table is wanted")
	}
	for _, band := range b.Bands {
		name := strings.Join(band.Names, ", ")
		if n := len(band.Gains); n < 1 || n > 16 || len(band.Names) == 0 {
			return fmt.Errorf("band %q: a name and 1 to 16 gains are wanted, it has %d", name, n)
		}
		if err := concentrator.CheckGains("band "+name, band.settings(radioTypes()[b.Radio])); err != nil {
			return err
		}
		if band.RSSIOffset >= 0 {
			return fmt.Errorf("band %q: rssi_offset = %v: the chip reports positive numbers, an offset below 0 is wanted", name, band.RSSIOffset)
		}
	}
	return nil
}

// Lint reports what is odd about the gain tables, though usable.
func (b Board) Lint() []string {
	var odd []string
	for _, band := range b.Bands {
		if band.Unordered {
			continue
		}
		for _, o := range concentrator.LintGains(band.settings(radioTypes()[b.Radio])) {
			odd = append(odd, strings.Join(band.Names, ", ")+": "+o)
		}
	}
	return odd
}

// line is a line of the board by its key.
type line struct {
	key string
	pin Pin
}

func (b Board) lines() []line {
	return []line{
		{"reset", b.Reset}, {"power_enable", b.PowerEnable}, {"sx1261_reset", b.SX1261Reset},
		{"dac_reset", b.DACReset}, {"gnss_reset", b.GNSSReset},
	}
}

// Print writes the board as a file of its own, without a base: what it writes
// reads again to the same board.
func (b Board) Print(w io.Writer) error {
	var text bytes.Buffer
	if err := toml.NewEncoder(&text).SetTablesInline(false).SetArraysMultiline(false).Encode(b); err != nil {
		return fmt.Errorf("print board %s: %w", b.Name, err)
	}
	_, err := fmt.Fprintf(w, "# %s\n%s\n", b.Name, strings.TrimSpace(text.String()))
	return err
}
