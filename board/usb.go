package board

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatewayd/concentrator/bridge"
)

// semtechUSB is the vendor's reference design as a USB card,
// SX1302CSSxxxGW1: SPI, reset, power and thermometer are behind its
// microcontroller.
func semtechUSB() Board {
	b := semtechCoreCell()
	b.Name = "semtech-corecell-usb"
	b.Title = "Semtech SX1302 CoreCell as a USB card (SX1302CSS868GW1, SX1302CSS915GW1)"
	b.Source = "Lora-net/sx1302_hal packet_forwarder/global_conf.json.sx1250.*.USB, libloragw/src/loragw_usb.c"
	b.SPI = bridge.Scheme + "/dev/ttyACM0"
	b.Reset, b.PowerEnable, b.SX1261Reset = 0, 0, 0
	b.Thermometers = nil
	b.GNSS = GNSS{}
	return b
}

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
