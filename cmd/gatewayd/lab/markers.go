package lab

import (
	"log/slog"
	"sync"
	"time"

	"gatewayd/board"
	"gatewayd/nsedge"
	"gatewayd/nsedge/lab"
	"gatewayd/radio"
)

// markerPulse is how long a marker of a moment stays high.
const markerPulse = time.Millisecond

// rx2After is when RX2 begins, counted from RX1.
const rx2After = time.Second

// Lines are the GPIO lines of markers.
type Lines interface {
	Out(p board.Pin, high bool) error
}

// MarkersConfig says which line shows what; 0 is none.
type MarkersConfig struct {
	Lines  Lines
	TX     board.Pin // high while a downlink is on the air
	RX     board.Pin // a pulse when a frame was received
	Window board.Pin // a pulse when RX1 begins, and when RX2 does
	Log    *slog.Logger
}

// Markers show on GPIO lines, for an oscilloscope, what the radio does. They
// are timed by the host, not by the chip: see docs/lab.md. Its methods may be
// called from any goroutine.
type Markers struct {
	cfg MarkersConfig
	now func() (radio.Instant, bool)

	mu      sync.Mutex
	planned map[uint64]*time.Timer // of downlinks that have not begun
	failed  bool
}

var (
	_ lab.Observer = (*Markers)(nil)
	_ lab.Planner  = (*Markers)(nil)
)

// NewMarkers makes markers; Attach gives them the layer that they observe.
func NewMarkers(cfg MarkersConfig) *Markers {
	return &Markers{cfg: cfg, planned: map[uint64]*time.Timer{}}
}

// Attach gives the markers the clock of the radio.
func (m *Markers) Attach(layer *lab.Layer) { m.now = layer.Now }

// Heard implements lab.Observer.
func (m *Markers) Heard(radio.Uplink) { m.pulse(m.cfg.RX) }

// Planned implements lab.Planner: the line is high while the frame is on the
// air.
func (m *Markers) Planned(d radio.Downlink) {
	now, ok := m.now()
	if m.cfg.TX == 0 || !ok || d.Immediate || d.OnPulse {
		return // when those start, nobody knows before
	}
	length := d.Mod.Airtime(len(d.Payload))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(d.Replaces)
	m.planned[d.ID] = time.AfterFunc(d.At.Sub(now), func() {
		m.mu.Lock()
		delete(m.planned, d.ID)
		m.mu.Unlock()
		m.out(m.cfg.TX, true)
		time.AfterFunc(length, func() { m.out(m.cfg.TX, false) })
	})
}

// Sent implements lab.Observer. A downlink that failed has no marker.
func (m *Markers) Sent(d radio.Downlink, _ radio.Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(d.ID)
}

func (m *Markers) forget(id uint64) {
	if t, ok := m.planned[id]; ok {
		t.Stop()
		delete(m.planned, id)
	}
}

// Event marks the windows that the network server opens.
func (m *Markers) Event(e nsedge.Event) {
	asked, ok := e.(*nsedge.DownlinkRequest)
	if !ok || m.cfg.Window == 0 {
		return
	}
	begin := time.Until(asked.TXTime)
	for _, at := range []time.Duration{begin, begin + rx2After} {
		time.AfterFunc(at, func() { m.pulse(m.cfg.Window) })
	}
}

func (m *Markers) pulse(p board.Pin) {
	if p != 0 {
		m.out(p, true)
		time.AfterFunc(markerPulse, func() { m.out(p, false) })
	}
}

// out sets a line. The first failure is told; a marker is no reason to stop.
func (m *Markers) out(p board.Pin, high bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.cfg.Lines.Out(p, high); err != nil && !m.failed {
		m.failed = true
		m.cfg.Log.Warn("a marker can't be shown", slog.Any("line", p), slog.Any("err", err))
	}
}
