package concentrator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio/sx1250"
	"gatewayd/radio/sx125x"
	"gatewayd/radio/sx1261"
)

// Finding is what one part of an examination found.
type Finding struct {
	Step     string // one word or two, e.g. "version"
	Expected string
	Seen     string
	Err      error // nil: as expected; wraps what callers branch on
	Optional bool  // the gateway works without
}

// What is seen of lines that the examination can't drive.
const notDriven = "not provable: no reset line is within reach"

// Examine takes the chip from reset to reception as Run does, with more looks
// on the way, and tells of each part what it found. It transmits nothing; on
// return the chip is held in reset. The first part that fails for good ends
// it, and its error is returned too; ctx ends it at any time. Only one of Run
// and Examine runs at a time ([ErrRunning]).
func (c *Concentrator) Examine(ctx context.Context, found func(Finding)) (err error) {
	s, err := c.begin()
	if err != nil {
		return err
	}
	defer c.end(s)
	defer func() { err = s.stop(ctx, err) }()
	for _, p := range s.parts() {
		f := Finding{Step: p.step, Expected: p.expected, Optional: p.optional}
		f.Seen, f.Err = p.look(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		found(f)
		if f.Err != nil && !p.optional {
			return fmt.Errorf("examine: %s: %w", p.step, f.Err)
		}
	}
	return nil
}

// part is one part of an examination.
type part struct {
	step, expected string
	optional       bool
	look           func(context.Context) (seen string, err error)
}

func (s *session) parts() []part {
	d := s.drv
	c := d.cfg
	parts := []part{
		{"reset line", "pulsed", false, d.lookReset},
		{"version", "0x10 (SX1302) or 0x12 (SX1303)", false, d.lookVersion},
		{"SPI bus", fmt.Sprintf("%d equal readings", busReadings), false, d.lookBus},
		{"reset proof", "a register that was written is back at its reset value", false, d.lookProof},
		{"radio ids", "two " + d.radioType().String(), false, d.lookRadios},
		{"calibration", "both radios calibrated and receiving", false, d.named("calibrate the radios", "set up radio A", "set up radio B", "hand the radios to the AGC")},
		{"RAM test", "what was written, in both processors' memories", false, d.lookRAM},
		{"receiver", "set up", false, d.between("time stamp mode", "load AGC firmware")},
		{"AGC firmware", fmt.Sprintf("version %d, running", d.radioType().parameters().version), false, d.named("load AGC firmware", "configure AGC")},
		{"arbiter firmware", fmt.Sprintf("version %d, running", arbVersion), false, d.named("load ARB firmware", "configure ARB")},
		{"transmitter set-up", "set up; nothing is transmitted", false, d.between("transmit path", "patch the SX1261")},
		{"identity", "an EUI", false, d.lookIdentity},
		{"counter", "32 MHz by the host's clock, within 200 ppm", false, s.lookCounter},
		{"reception", "alive: no parity error, no stalled AGC", false, s.lookAlive},
	}
	if c.SX1261.Port != nil {
		parts = append(parts, part{"SX1261", "patched, version ends in 2D06", !c.SX1261.LBT.Enable, d.lookCompanion})
	}
	if c.Temperature != nil || c.I2C != nil {
		parts = append(parts, part{"thermometer", "the board's temperature, -20 to 85 °C", true, d.lookTemperature})
	}
	return append(parts, part{"pulse", "the satellite receiver's pulse reaches the chip once a second", true, s.lookPulse})
}

// named does steps of the start by their names.
func (d *driver) named(names ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		for _, name := range names {
			for _, st := range d.steps() {
				if st.name != name {
					continue
				}
				if err := st.do(ctx); err != nil {
					return "it failed at: " + name, err
				}
			}
		}
		return "done", nil
	}
}

// between does the steps of the start from one on, up to another.
func (d *driver) between(from, to string) func(context.Context) (string, error) {
	var names []string
	on := false
	for _, st := range d.steps() {
		on = (on || st.name == from) && st.name != to
		if on {
			names = append(names, st.name)
		}
	}
	return d.named(names...)
}

func (d *driver) lookReset(ctx context.Context) (string, error) {
	if err := d.pulseReset(ctx); err != nil {
		return "it can't be driven", err
	}
	if d.cfg.Reset == nil {
		return notDriven, nil
	}
	return "pulsed", nil
}

func (d *driver) lookVersion(context.Context) (string, error) {
	v, err := d.regs.readByte(reg.CommonVersion.Addr())
	if err != nil {
		return "the transfer failed", err
	}
	return fmt.Sprintf("0x%02X", v), diagnose(v)
}

// busReadings is how often the examination reads the same bytes.
const busReadings = 500

// lookBus reads registers at rest over and over.
func (d *driver) lookBus(ctx context.Context) (string, error) {
	block := proofBlocks[len(proofBlocks)/2]
	var first []byte
	odd, failed := 0, d.bus.failures.Load()
	for range busReadings {
		data, err := d.regs.read(block.from, block.n)
		if err != nil {
			return "the transfer failed", err
		}
		if first == nil {
			first = bytes.Clone(data)
		}
		if !bytes.Equal(first, data) {
			odd++
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
	}
	failed = d.bus.failures.Load() - failed
	seen := fmt.Sprintf("%d of %d readings differ, %d transfers failed", odd, busReadings, failed)
	if odd > 0 || failed > 0 {
		return seen, fmt.Errorf("%w: %s: lower the SPI clock (spi_hz), check the connectors", ErrTransfer, seen)
	}
	return fmt.Sprintf("%d equal readings", busReadings), nil
}

// lookProof changes a register that does no harm, pulses the reset line and
// finds the change gone: a chip that is merely idle doesn't pass for one that
// was reset.
func (d *driver) lookProof(ctx context.Context) (string, error) {
	if d.cfg.Reset == nil {
		return notDriven, d.proveReset(ctx)
	}
	f := reg.CommonGenConcentratorModemEnable
	if err := d.regs.put(f, 1); err != nil {
		return "the transfer failed", err
	}
	b, err := d.regs.readByte(f.Addr())
	if err != nil {
		return "the transfer failed", err
	}
	if f.Get(b) != 1 {
		return "writes are lost", fmt.Errorf("%w: %v reads %d after 1 was written: the chip takes no writes, as after a latch-up: remove the power for 10 s", ErrNotReset, f, f.Get(b))
	}
	if err := d.pulseReset(ctx); err != nil {
		return "the reset line can't be driven", err
	}
	if b, err = d.regs.readByte(f.Addr()); err != nil {
		return "the transfer failed", err
	}
	if f.Get(b) != 0 {
		return "the register kept its value", fmt.Errorf("%w: %v is still 1 after the reset: %s", ErrNotReset, f, d.resetAdvice())
	}
	if err := d.proveReset(ctx); err != nil {
		return "it is back, but others are not", err
	}
	return "it is back", nil
}

// lookRadios asks each radio who it is.
func (d *driver) lookRadios(ctx context.Context) (string, error) {
	if seen, err := d.named("reset the radios", "clock from the radio")(ctx); err != nil {
		return seen, err
	}
	seen := ""
	for n, c := range d.cfg.Radios {
		if !c.Enable {
			continue
		}
		one, err := d.lookRadio(ctx, n)
		if seen != "" {
			seen += ", "
		}
		if seen += fmt.Sprintf("%c: %s", 'A'+n, one); err != nil {
			return seen, fmt.Errorf("radio %c: %w", 'A'+n, err)
		}
	}
	return seen, nil
}

func (d *driver) lookRadio(ctx context.Context, n int) (string, error) {
	if t := d.cfg.Radios[n].Type; t != SX1250 {
		v, err := d.sx125x(n).Read(sx125x.RegVersion)
		if want := map[RadioType]byte{SX1255: 1, SX1257: 2}[t]; err == nil && v>>4 != want {
			err = fmt.Errorf("%w: radio version 0x%02X is no %v", ErrCalibration, v, t)
		}
		return fmt.Sprintf("version 0x%02X", v), err
	}
	status, err := sx1250.New(radioPort{d.bus, n}).Status(ctx)
	if err != nil {
		return "no answer", err
	}
	seen := fmt.Sprintf("status 0x%02X", status)
	if m := sx1250.ModeOf(status); m != sx1250.StandbyRC && m != sx1250.StandbyXOSC {
		return seen, fmt.Errorf("%w: status 0x%02X (mode %d) after its reset, standby (2 or 3) is wanted: no SX1250 answers; check the supply, or the front end has died", ErrCalibration, status, m)
	}
	return seen, nil
}

// lookRAM writes the microcontrollers' memories full and reads them back,
// then again with every bit turned round.
func (d *driver) lookRAM(context.Context) (string, error) {
	for _, m := range []mcu{agcMCU, arbMCU} {
		d.regs.set(m.clear, 1)
		d.regs.set(m.program, 1)
		d.regs.set(reg.CommonPage, 0)
		if err := d.regs.flush(); err != nil {
			return "the transfer failed", err
		}
		for _, turn := range []byte{0x00, 0xFF} {
			pattern, back := make([]byte, reg.MCUMemorySize), make([]byte, reg.MCUMemorySize)
			for i := range pattern {
				pattern[i] = byte(i*7+i>>8) ^ turn // differs from place to place
			}
			if err := errors.Join(d.bus.write(m.memory, pattern), d.bus.read(m.memory, back)); err != nil {
				return "the transfer failed", err
			}
			for i, b := range back {
				if b != pattern[i] {
					return fmt.Sprintf("%s: 0x%02X at 0x%04X, 0x%02X was written", m.name, b, int(m.memory)+i, pattern[i]),
						fmt.Errorf("%w: %s memory is damaged at 0x%04X: lower the SPI clock (spi_hz), check the supply; else the module has died", ErrMCU, m.name, int(m.memory)+i)
				}
			}
		}
		if err := d.regs.put(m.program, 0); err != nil {
			return "the transfer failed", err
		}
	}
	return fmt.Sprintf("two patterns in 2 × %d bytes", reg.MCUMemorySize), nil
}

func (d *driver) lookIdentity(ctx context.Context) (string, error) {
	if err := d.readIdentity(ctx); err != nil {
		return "it can't be read", err
	}
	return fmt.Sprintf("%v, %s", d.eui, modelName(d.model)), nil
}

// lookCounter measures the chip's clock by the host's.
func (s *session) lookCounter(ctx context.Context) (string, error) {
	a, err := s.drv.counter()
	if err != nil {
		return "it stands still or jumps", fmt.Errorf("%w: the radio that clocks the chip gives no clock", err)
	}
	if err := pause(ctx, time.Second); err != nil {
		return "", err
	}
	b, err := s.drv.counter()
	if err != nil {
		return "it stands still or jumps", err
	}
	off := b.since(a)
	ppm := float64(off) / float64(b.at.Sub(a.at)) * 1e6
	doubt := float64(a.doubt+b.doubt) / float64(b.at.Sub(a.at)) * 1e6
	seen := fmt.Sprintf("%+.0f ppm (±%.0f)", ppm, doubt)
	if max(ppm, -ppm) > counterDrift+doubt {
		return seen, fmt.Errorf("%w: it is %s off the host's clock: another oscillator than the board setting says, or its supply is bad", ErrCounter, seen)
	}
	return seen, nil
}

// aliveLooks is how often the arbiter is looked at, every 100 ms.
const aliveLooks = 10

// lookAlive looks for the signs of a chip that receives nothing though it
// answers; see health.
func (s *session) lookAlive(ctx context.Context) (string, error) {
	for range stickyLimit {
		for _, look := range []func() error{s.checkPower, s.checkAGC, s.checkARB} {
			if err := look(); err != nil {
				return "it is not", err
			}
		}
	}
	var before []byte
	moved := 0
	for range aliveLooks {
		now, err := s.drv.regs.read(reg.ARBDebugSts1.Addr(), arbCounters)
		if err != nil {
			return "the transfer failed", err
		}
		if before != nil && !bytes.Equal(before, now) {
			moved++
		}
		before = bytes.Clone(now)
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("alive; the arbiter's counters moved between %d of %d looks", moved, aliveLooks-1), nil
}

func (d *driver) lookCompanion(ctx context.Context) (string, error) {
	if d.companion == nil {
		return "none", nil
	}
	if err := d.startCompanion(ctx); err != nil {
		return "it doesn't answer as it should", err
	}
	v, err := sx1261.New(d.companion.bus).Version(ctx)
	return v, err
}

// lookTemperature reads the board's thermometer.
func (d *driver) lookTemperature(context.Context) (string, error) {
	read := d.cfg.Temperature
	if read == nil {
		read = func() (float64, error) {
			at, err := findThermometer(d.cfg.I2C)
			if err != nil {
				return 0, err
			}
			var t thermometer
			if err := t.read(d.cfg.I2C, at); err != nil {
				return 0, err
			}
			return *t.celsius.Load(), nil
		}
	}
	t, err := read()
	if err != nil {
		return "none; RSSI is corrected for 25 °C", err
	}
	seen := fmt.Sprintf("%.1f °C", t)
	if t < -20 || t > 85 {
		return seen, fmt.Errorf("the board is at %s", seen)
	}
	return seen, nil
}

// lookPulse waits for two pulses.
func (s *session) lookPulse(ctx context.Context) (string, error) {
	var last [4]byte
	seen := 0
	for i := range 12 {
		var b [4]byte
		if err := s.drv.bus.read(reg.TimestampPPSMsb2.Addr(), b[:]); err != nil {
			return "the transfer failed", err
		}
		if i > 0 && b != last {
			seen++
		}
		last = b
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return "", err
		}
	}
	if seen < 2 {
		return fmt.Sprintf("%d pulses in 3 s", seen), errNoPulse
	}
	return fmt.Sprintf("%d pulses in 3 s", seen), nil
}

var errNoPulse = errors.New("no pulse: the receiver has no fix, or its pulse is not wired to the chip")
