package config

import (
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gatewayd/board"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// Limits of concentrator.spi_hz. The chip's data sheet ends at 10 MHz.
const (
	MinSPIHz = 100_000
	MaxSPIHz = 10_000_000
)

// checker collects faults.
type checker struct{ faults Faults }

func (k *checker) fault(key string, value any, format string, args ...any) {
	v := fmt.Sprint(value)
	if s, ok := value.(string); ok {
		v = strconv.Quote(s)
	}
	k.faults = append(k.faults, Fault{Key: key, Value: v, Problem: fmt.Sprintf(format, args...)})
}

// oneOf checks a word against a closed list.
func (k *checker) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		k.fault(key, value, "allowed: %s", strings.Join(allowed, ", "))
	}
}

// within checks a number against a closed range; NaN is in none.
func (k *checker) within(key string, value, least, most float64) {
	if !(value >= least && value <= most) {
		k.fault(key, value, "allowed: %v to %v", least, most)
	}
}

// hostPort checks a TCP listen address.
func (k *checker) hostPort(key, value, also string) {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		if n, perr := strconv.ParseUint(port, 10, 16); perr != nil || n == 0 {
			err = fmt.Errorf("port %q is none of 1 to 65535", port)
		}
	}
	if err != nil {
		k.fault(key, value, "no address to listen on (%s); allowed: HOST:PORT%s", strings.TrimPrefix(err.Error(), "address "+value+": "), also)
	}
}

// folder checks a path that must not depend on where the daemon was started.
func (k *checker) folder(key, value string) {
	if !filepath.IsAbs(value) {
		k.fault(key, value, "an absolute path is wanted, e.g. /var/lib/gatewayd")
	}
}

// unixPathMax is the longest socket path that Linux takes.
const unixPathMax = 107

func (k *checker) unixPath(key, value, path string) {
	if path == "" || len(path) > unixPathMax {
		k.fault(key, value, "the socket's path must have 1 to %d characters, it has %d", unixPathMax, len(path))
	}
}

var (
	spidev = regexp.MustCompile(`^/dev/spidev[0-9]+\.[0-9]+$`)
	usbTTY = regexp.MustCompile(`^usb:/.+$`)
	i2cdev = regexp.MustCompile(`^/dev/i2c-[0-9]+$`)
)

// check finds every value that is not allowed.
func (c Config) check() Faults {
	var k checker
	c.checkConcentrator(&k)
	c.checkTime(&k)
	c.checkListeners(&k)
	c.checkRegion(&k)
	if _, err := hexBytes(c.Network.NetID, 3); err != nil {
		k.fault("network.net_id", c.Network.NetID, "6 hex digits are wanted, e.g. 000000")
	}
	if id := c.Network.ID; id != "" {
		if b, err := hex.DecodeString(id); err != nil || len(b) != 4 && len(b) != 16 {
			k.fault("network.id", id, "8 or 32 hex digits are wanted, or \"\" for one that is made")
		}
	}
	c.checkClassB(&k)
	c.checkGateway(&k)
	k.folder("state.dir", c.State.Dir)
	k.folder("firmware.dir", c.Firmware.Dir)
	c.checkMarkers(&k)
	k.within("recorder.size_mib", float64(c.Recorder.Size), 0, MaxRecorder)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	return k.faults
}

func (c Config) checkConcentrator(k *checker) {
	cc := c.Concentrator
	k.oneOf("concentrator.driver", cc.Driver, DriverSX1302, DriverEmulated)
	if !c.Emulated() {
		if _, err := board.Lookup(cc.Board); err != nil {
			k.fault("concentrator.board", cc.Board, "%v", err)
		}
	}
	if path, ok := strings.CutPrefix(cc.SPI, "unix:"); ok {
		k.unixPath("concentrator.spi", cc.SPI, path)
	} else if cc.SPI != "" && !spidev.MatchString(cc.SPI) && !usbTTY.MatchString(cc.SPI) {
		k.fault("concentrator.spi", cc.SPI, "allowed: /dev/spidevBUS.CS (e.g. /dev/spidev0.0), usb:/PATH of a tty (e.g. usb:/dev/ttyACM0), unix:PATH, or \"\" for the board's")
	}
	if c.Emulated() && cc.SPI != "" {
		k.fault("concentrator.spi", cc.SPI, "the emulated driver has its chip inside; leave spi empty, or set driver = \"sx1302\" to reach an emulator at unix:PATH")
	}
	if cc.Conf != "" && !filepath.IsAbs(cc.Conf) {
		k.fault("concentrator.sx130x_conf", cc.Conf, "an absolute path is wanted, e.g. /etc/gatewayd/global_conf.json")
	}
	if path, ok := strings.CutPrefix(cc.SX1261, "unix:"); ok {
		k.unixPath("concentrator.sx1261_spi", cc.SX1261, path)
	} else if cc.SX1261 != "" && !spidev.MatchString(cc.SX1261) {
		k.fault("concentrator.sx1261_spi", cc.SX1261, "allowed: /dev/spidevBUS.CS (e.g. /dev/spidev0.1), unix:PATH, or \"\" for none")
	}
	if c.Emulated() && cc.SX1261 != "" {
		k.fault("concentrator.sx1261_spi", cc.SX1261, "the emulated driver has its SX1261 inside; leave sx1261_spi empty")
	}
	if k.oneOf("concentrator.lbt", cc.LBT, LBTAuto, LBTOn, LBTOff); cc.LBT == LBTOn && cc.SX1261 == "" && !c.Emulated() {
		k.fault("concentrator.lbt", cc.LBT, "an SX1261 does the listening; set sx1261_spi, or lbt = \"auto\"")
	}
	if path, ok := strings.CutPrefix(cc.I2C, "unix:"); ok {
		k.unixPath("concentrator.i2c", cc.I2C, path)
	} else if cc.I2C != "" && cc.I2C != Off && !i2cdev.MatchString(cc.I2C) {
		k.fault("concentrator.i2c", cc.I2C, "allowed: /dev/i2c-N (e.g. /dev/i2c-1), unix:PATH, off, or \"\" for the board's")
	}
	if cc.SPIHz != 0 && (cc.SPIHz < MinSPIHz || cc.SPIHz > MaxSPIHz) {
		k.fault("concentrator.spi_hz", cc.SPIHz, "allowed: %d to %d, or 0 for the board's", MinSPIHz, MaxSPIHz)
	}
}

func (c Config) checkMarkers(k *checker) {
	var pins []board.Pin
	b, err := board.Lookup(c.Concentrator.Board)
	if err != nil || c.Emulated() {
		b = board.Board{} // the first is told elsewhere
	}
	for _, m := range []struct {
		key  string
		line int
	}{{"lab.marker_tx", c.Lab.MarkerTX}, {"lab.marker_rx", c.Lab.MarkerRX}, {"lab.marker_window", c.Lab.MarkerWindow}} {
		if m.line == 0 {
			continue
		}
		pins = append(pins, board.Pin(m.line))
		if err := b.CheckMarkers(pins); err != nil {
			k.fault(m.key, m.line, "%v", err)
			pins = pins[:len(pins)-1]
		} else if !c.Lab.Enabled {
			k.fault(m.key, m.line, "markers belong to the laboratory; set lab.enabled = true, or the line to 0")
		}
	}
}

func (c Config) checkGateway(k *checker) {
	g := c.Gateway
	if g.EUI != "" {
		if _, err := radio.ParseEUI64(g.EUI); err != nil {
			k.fault("gateway.eui", g.EUI, "16 hex digits are wanted, or \"\" for the chip's own")
		}
	}
	k.within("gateway.antenna_gain", g.AntennaGain, -20, 40)
	k.within("gateway.latitude", g.Latitude, -90, 90)
	k.within("gateway.longitude", g.Longitude, -180, 180)
	k.within("gateway.altitude", float64(g.Altitude), -1000, 10_000)
}

// maxLeapSeconds is more than this century needs.
const maxLeapSeconds = 60

func (c Config) checkClassB(k *checker) {
	k.oneOf("network.class_b", c.Network.ClassB, ClassBAuto, ClassBOn, Off)
	f := c.Network.BeaconFreq
	r, err := region.Lookup(c.Region.Name)
	if f == 0 || err != nil {
		return
	}
	if _, ok := r.EIRP(radio.Hertz(f)); !ok {
		from, to := r.Range()
		k.fault("network.beacon_freq", f, "a gateway may not send there; allowed: 0 for the region's, or what %s allows from %d to %d Hz", r, from, to)
	}
}

func (c Config) checkTime(k *checker) {
	cc := c.Concentrator
	if cc.GPS != "" && cc.GPS != Off && !filepath.IsAbs(cc.GPS) {
		k.fault("concentrator.gps", cc.GPS, "allowed: the path of a tty (e.g. /dev/ttyAMA0), off, or \"\" for the board's")
	}
	if cc.LeapSeconds < 0 || cc.LeapSeconds > maxLeapSeconds {
		k.fault("concentrator.leap_seconds", cc.LeapSeconds, "allowed: 0 for what the receiver says, to %d", maxLeapSeconds)
	}
}

func (c Config) checkListeners(k *checker) {
	path, unix := strings.CutPrefix(c.Air.Listen, "unix:")
	switch {
	case c.Air.Listen == "" || c.Air.Listen == Off:
	case !c.Emulated():
		k.fault("air.listen", c.Air.Listen, "there is a simulated medium only with concentrator.driver = \"emulated\"; remove the key or set it to off")
	case unix:
		k.unixPath("air.listen", c.Air.Listen, path)
	default:
		k.hostPort("air.listen", c.Air.Listen, ", unix:PATH, off, or \"\" for "+DefaultAir)
	}
	k.hostPort("dataapi.listen", c.DataAPI.Listen, "")
	c.DataAPI.check(k)
}

func hexBytes(s string, n int) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err == nil && len(b) != n {
		err = fmt.Errorf("%d bytes", len(b))
	}
	return b, err
}
