package board

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatewayd/concentrator/bridge"
)

// USB tells whether the board is reached through a USB card's
// microcontroller, which has the lines.
func (b Board) USB() bool { return strings.HasPrefix(b.SPI, bridge.Scheme) }

// openUSB connects to the microcontroller.
func (b Board) openUSB(log *slog.Logger) (*Hardware, error) {
	port, err := bridge.Open(b.SPI, log)
	if err != nil {
		return nil, err
	}
	t := &thermometer{read: port.Temperature}
	t.value, t.err = t.read()
	t.at = time.Now()
	return &Hardware{
		Board: b, Port: port, SX1261: port.SX1261(),
		Reset: port.Reset, Hold: port.Hold,
		Temperature: t.celsius,
		Via:         "USB card, firmware " + port.Info().Version,
		closers:     []func() error{port.Close},
	}, nil
}

// temperatureAge is how old a temperature may be.
const temperatureAge = 30 * time.Second

// thermometer remembers what was read, and reads anew beside whoever asks.
type thermometer struct {
	read func() (float64, error)

	mu      sync.Mutex
	value   float64
	err     error
	at      time.Time
	reading bool
}

// celsius returns at once.
func (t *thermometer) celsius() (float64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.reading && time.Since(t.at) >= temperatureAge {
		t.reading = true
		go t.refresh()
	}
	return t.value, t.err
}

// refresh lasts as long as one read, which has a deadline.
func (t *thermometer) refresh() {
	value, err := t.read()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.value, t.err, t.at, t.reading = value, err, time.Now(), false
}
