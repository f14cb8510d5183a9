package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gatewayd/concentrator"
	"gatewayd/concentrator/gnss"
	"gatewayd/dataapi"
	"gatewayd/radio"
)

// machine is the daemon as the Management API shows and steers it.
type machine struct {
	*daemon
	began time.Time
	clock clock

	writing sync.Mutex // the configuration
}

func newMachine(d *daemon) *machine {
	return &machine{daemon: d, began: time.Now(), clock: clock{gnss.HostClock, maySetClock, setHostClock}}
}

// System implements dataapi.Machine.
func (m *machine) System() dataapi.System {
	host, _ := os.Hostname() // "" does no harm
	s := dataapi.System{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Hostname: host,
		Started: m.began.Unix(), Uptime: int64(time.Since(m.began).Seconds()), Ready: "ok",
		Driver: m.cfg.Concentrator.Driver, Board: m.parts.hardware.Board.Name, Region: m.region.Short(),
		Time: m.time(), GNSS: m.satellitesNow(), Storage: storage(m.cfg.State.Dir), Memory: memory(), TLS: m.tlsInfo(),
	}
	if err := m.ready(context.Background()); err != nil {
		s.Ready = err.Error()
	}
	return s
}

func (m *machine) time() dataapi.Time {
	t := m.conc.Time()
	return dataapi.Time{
		Now: float64(time.Now().UnixMicro()) / 1e6, Quality: t.Quality.String(), Error: t.Error.Seconds(), Drift: t.Drift,
		LeapSeconds: t.Leap, PulseAge: t.PulseAge.Seconds(), Settable: m.whyNotSet() == nil,
	}
}

// whyNotSet says why the clock is not to be set by hand; nil if it is.
func (m *machine) whyNotSet() error {
	switch disciplined, _ := m.clock.judge(); {
	case m.cfg.Emulated():
		return fmt.Errorf("%w: the host's, which a simulated concentrator leaves alone", dataapi.ErrTimeKnown)
	case m.conc.Time().Quality >= concentrator.HostDisciplined || disciplined:
		return fmt.Errorf("%w: by satellite or a time server", dataapi.ErrTimeKnown)
	case !m.clock.permitted():
		return fmt.Errorf("%w: its unit gives it no CAP_SYS_TIME; set the clock on the host, such as with timedatectl set-time", dataapi.ErrNotPermitted)
	}
	return nil
}

// SetTime implements dataapi.Machine. The host's clock stays what it is, one
// that nobody vouches for: it stamps messages and logs, and neither DeviceTime
// nor a beacon nor any transmission goes by it.
func (m *machine) SetTime(t time.Time) error {
	if err := m.whyNotSet(); err != nil {
		return err
	}
	if err := m.clock.set(t); err != nil {
		return fmt.Errorf("%w: %w", dataapi.ErrNotPermitted, err)
	}
	return nil
}

func (m *machine) satellitesNow() *dataapi.GNSS {
	if m.gnss == nil {
		return nil
	}
	s := m.gnss.Status()
	g := &dataapi.GNSS{Open: s.Open, Fix: s.Fix.String(), Satellites: s.Satellites, Messages: s.Messages, Damaged: s.Damaged}
	if p := s.Position; p != nil {
		g.Position = &dataapi.GatewayPosition{Lat: p.Latitude, Lng: p.Longitude, Alt: int(p.Altitude)}
	}
	return g
}

func storage(dir string) dataapi.Storage {
	s := dataapi.Storage{Path: dir}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil {
		s.Free, s.Size = st.Bavail*uint64(st.Bsize), st.Blocks*uint64(st.Bsize)
	}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error { // what can't be read doesn't count
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil {
			s.Used += info.Size()
		}
		return nil
	})
	return s
}

func memory() dataapi.Memory {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap) // doesn't stop the world
	return dataapi.Memory{Resident: resident(), Heap: heap[0].Value.Uint64(), Goroutines: runtime.NumGoroutine()}
}

// resident is what the kernel counts for this process, 0 if it doesn't say.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// Scan implements dataapi.Machine.
func (m *machine) Scan(ctx context.Context, freq, bandwidth radio.Hertz, samples int) (dataapi.ScanPoint, error) {
	h, err := m.conc.SpectralScan(ctx, concentrator.SpectrumRequest{Freq: freq, Bandwidth: bandwidth, Samples: samples})
	for tries := 0; errors.Is(err, concentrator.ErrScanAborted) && tries < 3 && ctx.Err() == nil; tries++ { // a transmission came first
		h, err = m.conc.SpectralScan(ctx, concentrator.SpectrumRequest{Freq: freq, Bandwidth: bandwidth, Samples: samples})
	}
	return scanPoint(freq, h), err
}

// Spectrum implements dataapi.Machine.
func (m *machine) Spectrum() []dataapi.ScanPoint {
	points := []dataapi.ScanPoint{}
	for _, h := range m.conc.Spectrum() {
		points = append(points, scanPoint(h.Freq, h))
	}
	return points
}

func scanPoint(freq radio.Hertz, h concentrator.Histogram) dataapi.ScanPoint {
	p := dataapi.ScanPoint{Freq: freq.MHz(), At: float64(h.Time.UnixMilli()) / 1000, Samples: h.Samples, Levels: []dataapi.ScanLevel{}}
	for _, c := range h.Classes {
		p.Levels = append(p.Levels, dataapi.ScanLevel{Level: float64(c.Level), Count: c.Count})
	}
	return p
}

// Log implements dataapi.Machine.
func (m *machine) Log() []dataapi.LogLine {
	return m.parts.ring.snapshot()
}

// errStop and dataapi.ErrRestart are why the daemon ends from within.
var errStop = errors.New("stopped over the Management API")

// End implements dataapi.Machine.
func (m *machine) End(restart bool) error {
	if m.parts.end == nil {
		return errors.New("this gatewayd is part of another program, which alone can end it")
	}
	why := errStop
	if restart {
		why = dataapi.ErrRestart
	}
	return m.parts.end(why)
}

// network are the network server's counters.
func (m *machine) network() map[string]uint64 {
	m.mu.Lock()
	edge := m.edge
	m.mu.Unlock()
	if edge == nil {
		return map[string]uint64{}
	}
	s := edge.Stats()
	return map[string]uint64{
		"uplinks": s.Uplinks, "bad_crc": s.BadCRC, "copies": s.Copies, "ghosts": s.Ghosts, "foreign": s.Foreign, "downlinks_heard": s.Downlinks,
		"malformed": s.Malformed, "refused": s.Refused, "delivered": s.Delivered, "joins": s.Joins,
		"scheduled": s.Scheduled, "sent": s.Sent, "send_failed": s.SendFailed,
	}
}

// clock is the host's; tests have another.
type clock struct {
	judge     func() (disciplined bool, within time.Duration)
	permitted func() bool
	set       func(time.Time) error
}

func setHostClock(t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	return unix.Settimeofday(&tv)
}

// maySetClock tells whether this process has CAP_SYS_TIME.
func maySetClock() bool {
	var data [2]unix.CapUserData
	if unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]) != nil {
		return false
	}
	return data[unix.CAP_SYS_TIME/32].Effective&(1<<(unix.CAP_SYS_TIME%32)) != 0
}

// counters are the concentrator's, by name.
func counters(s concentrator.Stats) map[string]uint64 {
	return map[string]uint64{
		"starts": s.Starts, "stalls": s.Stalls, "broken": s.Broken, "polls": s.Polls,
		"packets": s.Packets, "crc_bad": s.CRCBad, "dropped": s.Dropped, "duplicates": s.Duplicates, "bad_checksum": s.BadChecksum,
		"mismatch": s.Mismatch, "invalid": s.Invalid, "truncated": s.Truncated, "skipped_bytes": s.Skipped, "overflows": s.Overflows, "fifo_errors": s.FIFOErrors,
		"sent": s.Sent, "too_late": s.TooLate, "channel_busy": s.ChannelBusy, "tx_failed": s.TXFailed, "refused": s.Refused, "lost_reports": s.LostReports,
		"pulses": s.Pulses, "pulses_refused": s.PulsesRefused, "pulses_missed": s.PulsesMissed,
	}
}
