package dataapi

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"gatewayd/radio"
)

// Machine is what is around a [Server]: the radio, the host, the daemon. The
// Management API shows and steers it. Its methods are called from many
// goroutines.
type Machine interface {
	// System and Radio are shown as they are.
	System() System
	Radio() Radio
	// Scan measures how loud one frequency is. An error ends the whole scan.
	Scan(ctx context.Context, freq, bandwidth radio.Hertz, samples int) (ScanPoint, error)
	// Spectrum is what scans in the background found last, by frequency.
	Spectrum() []ScanPoint
	// SetTime sets the host's clock; the error wraps ErrTimeKnown or
	// ErrNotPermitted where that is why it didn't.
	SetTime(t time.Time) error
	// Log returns the last lines of the daemon's log, oldest first.
	Log() []LogLine
	// Config shows the configuration, and SetConfig writes keys of it to its
	// file, for the next start. An error of type *ConfigFault names the key.
	Config() Configuration
	SetConfig(changes map[string]json.RawMessage) error
	// End stops the daemon, to start it again if so asked; it returns at once.
	End(restart bool) error
	// Recording writes what the flight recorder has; nil while that is off.
	Recording() func(w io.Writer) error
	// Support writes a bundle for whoever is asked for help: a ZIP file
	// without secrets.
	Support(w io.Writer) error
}

// System is the daemon and its host.
type System struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"` // such as linux/arm64
	Hostname string `json:"hostname"`
	Started  int64  `json:"started"` // unix seconds
	Uptime   int64  `json:"uptime"`  // seconds
	Ready    string `json:"ready"`   // "ok", or why uplinks reach nobody
	Driver   string `json:"driver"`
	Board    string `json:"board"`
	Region   string `json:"region"`

	Time    Time     `json:"time"`
	GNSS    *GNSS    `json:"gnss"` // null: no receiver
	Storage Storage  `json:"storage"`
	Memory  Memory   `json:"memory"`
	TLS     *TLSInfo `json:"tls"` // null: plain HTTP
}

// Time is what the host's clock says and what that is worth.
type Time struct {
	Now         float64 `json:"now"`     // unix seconds of the host's clock
	Quality     string  `json:"quality"` // none, host, host-disciplined, gnss
	Error       float64 `json:"error"`   // seconds, an estimated bound; 0 where nobody knows
	Drift       float64 `json:"drift"`   // ppm that the concentrator's counter runs fast
	LeapSeconds int     `json:"leap_seconds"`
	PulseAge    float64 `json:"pulse_age"` // seconds since the satellite receiver's last good pulse
	Settable    bool    `json:"settable"`  // POST /system/time would set it
}

// GNSS is the satellite receiver.
type GNSS struct {
	Open       bool             `json:"open"` // it speaks
	Fix        string           `json:"fix"`  // unknown, none, good
	Satellites int              `json:"satellites"`
	Messages   uint64           `json:"messages"`
	Damaged    uint64           `json:"damaged"`
	Position   *GatewayPosition `json:"position"`
}

// Storage is the file system with the state.
type Storage struct {
	Path string `json:"path"`
	Used int64  `json:"used"` // bytes of the state folder
	Free uint64 `json:"free"` // bytes for who isn't root
	Size uint64 `json:"size"` // bytes
}

// Memory is what the process takes, bytes.
type Memory struct {
	Resident   uint64 `json:"resident"`
	Heap       uint64 `json:"heap"`
	Goroutines int    `json:"goroutines"`
}

// TLSInfo is the server's certificate.
type TLSInfo struct {
	Mode        string   `json:"mode"`        // files, self, acme
	Fingerprint string   `json:"fingerprint"` // SHA-256 of what is to be trusted: own CA, or the certificate
	Names       []string `json:"names"`
	NotAfter    int64    `json:"not_after"` // unix seconds
	CA          []byte   `json:"-"`         // the own authority, PEM; nil if there is none
}

// Radio is the concentrator.
type Radio struct {
	EUI     string       `json:"eui"`
	Region  string       `json:"region"`
	Running bool         `json:"running"`
	Fault   string       `json:"fault"`   // why it doesn't run, or did not before
	Counter int64        `json:"counter"` // µs
	Radios  []RadioFront `json:"radios"`
	// Channels are what is received.
	Channels []RadioChannel `json:"channels"`
	CanScan  bool           `json:"can_scan"` // there is an SX1261

	Celsius        float64 `json:"celsius"`         // that RSSI is corrected for
	CelsiusAssumed bool    `json:"celsius_assumed"` // there is no reading

	// Counters since the start, and costs of the bus.
	Counters map[string]uint64 `json:"counters"`
	SPI      SPI               `json:"spi"`
	// Network are the network server's counters.
	Network map[string]uint64 `json:"network"`
	Duty    []Duty            `json:"duty"`
}

// RadioFront is one of the two radios.
type RadioFront struct {
	Index    int     `json:"index"`
	Type     string  `json:"type"`
	Freq     float64 `json:"freq"`     // MHz, the centre
	Transmit bool    `json:"transmit"` // and where:
	TXMin    float64 `json:"tx_min"`   // MHz
	TXMax    float64 `json:"tx_max"`   // MHz
}

// RadioChannel is one of the ten receive channels.
type RadioChannel struct {
	Index     int     `json:"index"` // params.radio.hardware.channel of uplinks
	Kind      string  `json:"kind"`  // multi-sf, lora, fsk
	Radio     int     `json:"radio"`
	Freq      float64 `json:"freq"`              // MHz
	Bandwidth int     `json:"bandwidth"`         // Hz
	Spreading []int   `json:"spreading"`         // factors
	BitRate   int     `json:"bitrate,omitempty"` // of fsk
}

// SPI is what the bus costs.
type SPI struct {
	Frames      uint64  `json:"frames"`
	Bytes       uint64  `json:"bytes"`
	Retries     uint64  `json:"retries"`
	Failures    uint64  `json:"failures"`
	StartTime   float64 `json:"start_time"` // seconds that the last start took
	StartFrames uint64  `json:"start_frames"`
	StartBytes  uint64  `json:"start_bytes"`
	Overhead    float64 `json:"overhead"`       // seconds that a transfer takes besides its bits
	Lateness    float64 `json:"worst_lateness"` // seconds of the driver's loop
}

// Duty is what is left of a sub-band's duty cycle at a gateway.
type Duty struct {
	Gateway string  `json:"gateway"`
	Band    string  `json:"band"`
	From    float64 `json:"from"`    // MHz
	To      float64 `json:"to"`      // MHz
	Used    float64 `json:"used"`    // seconds on air within the last hour
	Allowed float64 `json:"allowed"` // seconds within any hour
	FreeAt  float64 `json:"free_at"` // unix seconds: when a small frame may go out
}

// ScanPoint is how loud one frequency was how often.
type ScanPoint struct {
	Freq    float64     `json:"freq"` // MHz
	At      float64     `json:"at"`   // unix seconds
	Samples int         `json:"samples"`
	Levels  []ScanLevel `json:"levels"` // from loud to quiet
}

// ScanLevel counts samples from Level up to the next louder one.
type ScanLevel struct {
	Level float64 `json:"level"` // dBm
	Count int     `json:"count"`
}

// Configuration is the daemon's file.
type Configuration struct {
	Path     string      `json:"path"`     // "" if there is none
	Writable string      `json:"writable"` // "", or why it can't be changed from here
	Keys     []ConfigKey `json:"keys"`
}

// ConfigKey is a key as it is now.
type ConfigKey struct {
	Key     string   `json:"key"`
	Value   any      `json:"value"` // text, bool, number
	Default any      `json:"default"`
	Meaning string   `json:"meaning"`
	Choices []string `json:"choices"` // what is allowed, where that is a list
}

// ConfigFault is a value that isn't allowed.
type ConfigFault struct{ Key, Message string }

// Error implements error.
func (f *ConfigFault) Error() string { return f.Message }

// LogLine is a line of the daemon's log.
type LogLine struct {
	Number  uint64            `json:"number"` // counts up
	Time    float64           `json:"time"`   // unix seconds
	Level   string            `json:"level"`  // debug, info, warn, error
	Message string            `json:"message"`
	Fields  map[string]string `json:"fields"`
}
