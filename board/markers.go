package board

import (
	"fmt"
	"slices"
)

// taken are the header's lines that a board's buses have: I2C, SPI and the
// serial line of a satellite receiver. As an output they would break these.
func taken() []Pin { return []Pin{2, 3, 7, 8, 9, 10, 11, 14, 15} }

// CheckMarkers says which of some lines can't be used beside the board: those
// that the header doesn't have, that are another's, and that come twice.
func (b Board) CheckMarkers(pins []Pin) error {
	for i, p := range pins {
		if p < 2 || p > 27 {
			return fmt.Errorf("%d is no line of the header; allowed: 4 to 6, 12, 13, 16 to 27", int(p))
		}
		if slices.Contains(taken(), p) {
			return fmt.Errorf("%v is a line of SPI, I2C or the serial line; allowed: 4 to 6, 12, 13, 16 to 27", p)
		}
		if slices.Contains(pins[:i], p) {
			return fmt.Errorf("%v is given twice", p)
		}
		for _, l := range b.lines() {
			if l.pin == p {
				return fmt.Errorf("%v is the board's line %s", p, l.key)
			}
		}
	}
	return nil
}

// Markers are lines that are free for markers.
type Markers struct{ lines *header }

// OpenMarkers finds the header. Lines are requested when they are first used.
func (b Board) OpenMarkers(pins []Pin) (*Markers, error) {
	if err := b.CheckMarkers(pins); err != nil {
		return nil, err
	}
	lines, err := openHeader()
	if err != nil {
		return nil, err
	}
	return markersOn(lines, pins)
}

// markersOn takes the lines, low at first.
func markersOn(lines *header, pins []Pin) (*Markers, error) {
	m := &Markers{lines}
	for _, p := range pins {
		if err := m.Out(p, false); err != nil {
			_ = m.Close() // what it has
			return nil, fmt.Errorf("take %v for a marker: %w", p, err)
		}
	}
	return m, nil
}

// Out sets a line.
func (m *Markers) Out(p Pin, high bool) error { return m.lines.Out(p, high) }

// Close gives the lines back.
func (m *Markers) Close() error { return m.lines.Close() }
