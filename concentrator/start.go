package concentrator

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/sx1250"
	"gatewayd/radio/sx125x"
)

// driver is the chip as one goroutine sees it: its bus, the copy of its
// registers, and what it is to be.
type driver struct {
	cfg   *Config
	bus   *bus
	regs  *shadow
	log   *slog.Logger
	eui   radio.EUI64
	model byte // as the OTP has it

	companion *companion // nil: there is no SX1261

	radios [2]*sx125x.Radio // SX1255/57 only: since their reset

	dcOffsets map[dcKey]correction // SX1255/57 only: found by the calibration
}

// step is one named part of the start; its name is in the error.
type step struct {
	name string
	do   func(context.Context) error
}

// steps is the way from reset to reception, in the order of the vendor's
// library. docs/concentrator.md tells what differs, and why.
func (d *driver) steps() []step {
	c := d.cfg
	return []step{
		{"pulse the reset line", d.pulseReset},
		{"prove the reset", d.proveReset},
		{"reset the radios", d.resetRadios},
		{"clock from the radio", d.selectClock},
		{"calibrate the radios", d.calibrateRadios},
		{"set up radio A", func(ctx context.Context) error { return d.setUpRadio(ctx, 0) }},
		{"set up radio B", func(ctx context.Context) error { return d.setUpRadio(ctx, 1) }},
		{"hand the radios to the AGC", d.handOver},
		{"time stamp mode", d.timestampMode},
		{"pins", d.table(pins)},
		{"amplifier tables", d.amplifiers},
		{"front end", d.table(frontEnd)},
		{"channelizer", d.channelizer},
		{"correlators", d.correlators},
		{"demodulators", d.demodulators},
		{"service modem", d.when(c.Service.Enable, d.serviceModem)},
		{"FSK modem", d.when(c.FSK.Enable, d.fskModem)},
		{"sync words", d.syncWords},
		{"enable modems", d.enableModems},
		{"load AGC firmware", func(context.Context) error { return d.load(agcMCU, c.Firmware.AGC) }},
		{"configure AGC", d.configureAGC},
		{"load ARB firmware", func(context.Context) error { return d.load(arbMCU, c.Firmware.ARB) }},
		{"configure ARB", d.configureARB},
		{"transmit path", d.transmitPath},
		{"pulse per second", d.pulsePerSecond},
		{"transmit amplifier's gain", d.when(c.FullDuplex, d.amplifierGain)},
		{"patch the SX1261", d.when(c.SX1261.Port != nil, d.startCompanion)},
		{"LED", func(context.Context) error { return d.regs.put(reg.GPIOOutLOutValue, 1) }},
		{"read the identity", d.readIdentity},
	}
}

// start brings the chip from reset to reception.
func (d *driver) start(ctx context.Context) error {
	for _, s := range d.steps() {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("start: %s: %w", s.name, err)
		}
	}
	return nil
}

func (d *driver) when(on bool, do func(context.Context) error) func(context.Context) error {
	if on {
		return do
	}
	return func(context.Context) error { return nil }
}

// table is a step that writes fixed values.
func (d *driver) table(values []setting) func(context.Context) error {
	return func(context.Context) error {
		for _, v := range values {
			d.regs.set(v.field, v.value)
		}
		return d.regs.flush()
	}
}

func (d *driver) pulseReset(ctx context.Context) error {
	d.regs.reset()
	if d.cfg.Reset == nil {
		return nil
	}
	return d.cfg.Reset(ctx)
}

// proofBlocks are read once after the reset. They must show reset values, and
// what they show is believed from then on: bursts may run over these bytes.
var proofBlocks = []struct {
	from reg.Addr
	n    int
}{
	{0x5600, 0x08}, {0x5701, 0x03}, {0x5707, 0x0A}, {0x5780, 0x12}, {0x57C0, 0x01},
	{0x5800, 0x18}, {0x5820, 0x3D}, {0x5860, 0x5B}, {0x5B00, 0x47}, {0x5B50, 0x16}, {0x6080, 0x02},
}

// canaries are registers that every running driver has changed: at their
// reset values only after a reset.
var canaries = []reg.Field{
	reg.CommonGenGlobalEn, reg.CommonGenConcentratorModemEnable, reg.AGCRFEnARadio, reg.AGCRFEnBRadio,
	reg.ClkSelClkdivEn, reg.CommonCtrl0Clk32RifCtrl,
}

// proveReset finds out that an SX1302 answers and that it was really reset: a
// chip that still runs from before looks fine and receives nothing.
func (d *driver) proveReset(context.Context) error {
	version, err := d.regs.readByte(reg.CommonVersion.Addr())
	if err != nil {
		return err
	}
	if err := diagnose(version); err != nil {
		return err
	}
	odd, err := d.readProof()
	if err != nil {
		return err
	}
	running, err := d.running()
	if running && d.cfg.Reset == nil {
		d.log.Warn("the chip runs and no reset line is configured: its registers are put back one by one")
		if err := d.undo(); err != nil {
			return err
		}
		if odd, err = d.readProof(); err != nil {
			return err
		}
		_, err = d.running()
	}
	if err != nil {
		return err
	}
	if len(odd) > 0 {
		d.log.Warn("registers differ from their documented reset values", "count", len(odd), "first", odd[0])
	}
	return d.regs.put(reg.GPIOOutLOutValue, 0)
}

// readProof reads the blocks and returns what is not at its reset value.
func (d *driver) readProof() (odd []string, err error) {
	for _, b := range proofBlocks {
		data, err := d.regs.read(b.from, b.n)
		if err != nil {
			return nil, err
		}
		differ := differences(b.from, data)
		if len(differ) > 0 {
			// Is it the chip or the reading? What is believed here is written
			// back later.
			again, err := d.regs.read(b.from, b.n)
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(again, data) {
				return nil, fmt.Errorf("%w: two readings of %d bytes at 0x%04X differ: lower the SPI clock, check the wiring", ErrNoChip, b.n, uint16(b.from))
			}
		}
		odd = append(odd, differ...)
	}
	return odd, nil
}

// running tells, as an error, that a canary is not at its reset value.
func (d *driver) running() (bool, error) {
	for _, f := range canaries {
		b, _ := reg.Lookup(f.Addr())
		if d.regs.get(f) != f.Get(b.Reset) {
			return true, fmt.Errorf("%w: %v is %d, %d after a reset: %s", ErrNotReset, f, d.regs.get(f), f.Get(b.Reset), d.resetAdvice())
		}
	}
	return false, nil
}

func (d *driver) resetAdvice() string {
	if d.cfg.Reset == nil {
		return "no reset line is configured and its registers can't be put back; configure the board's reset line, or cut its power for 10 s"
	}
	return "the configured reset line does not reach the chip; check the board setting and its pin"
}

// diagnose judges the version register.
func diagnose(version byte) error {
	switch version {
	case 0x10, 0x12:
		return nil
	case 0x00:
		return fmt.Errorf("%w: the version register reads 0x00: the chip is without power or held in reset, or MISO is not connected; check the power-enable line, the reset line's level and the wiring", ErrNoChip)
	case 0xFF:
		return fmt.Errorf("%w: the version register reads 0xFF: nothing drives MISO; check that this is the right SPI device and chip select, and that SPI is enabled", ErrNoChip)
	case 0x05:
		return fmt.Errorf("%w: the version register reads 0x05, as of a chip that was never reset: check which pin the board resets it with; if that is right, cut the power for 10 s", ErrNotReset)
	}
	return fmt.Errorf("%w: the version register reads 0x%02X, not 0x10 or 0x12: not an SX1302/SX1303, or the SPI clock is too fast for the wiring", ErrNoChip, version)
}

// Times of a radio reset. All want 100 µs at least; the SX1250 is ready
// 3.5 ms later, the SX1255 and SX1257 5 ms; the supply gets a little time
// before.
const (
	radioPowerTime = 5 * time.Millisecond
	radioResetTime = time.Millisecond
	radioReadyTime = 5 * time.Millisecond
)

// radioFields are the control bits of one radio.
type radioFields struct {
	enable, reset, kind reg.Field
}

var radioControl = [2]radioFields{
	{reg.AGCRFEnARadio, reg.AGCRFEnARadioRst, reg.CommonCtrl0SX1261ModeRadioA},
	{reg.AGCRFEnBRadio, reg.AGCRFEnBRadioRst, reg.CommonCtrl0SX1261ModeRadioB},
}

// resetRadio powers a radio and pulses its reset, active low on the SX1250
// and active high on the others.
func (d *driver) resetRadio(ctx context.Context, n int) error {
	r, f := d.regs, radioControl[n]
	d.radios[n] = nil
	r.set(reg.CommonCtrl0Clk32RifCtrl, 0) // the chip's own clock drives the radio's SPI
	powered := r.get(f.enable) == 1
	idle := flag(d.cfg.Radios[n].Type == SX1250)
	for _, s := range []struct {
		field   reg.Field
		value   byte
		wait    time.Duration
		powerUp bool // only if it is off
	}{{f.enable, 1, 0, true}, {f.reset, idle, radioPowerTime, true}, {f.reset, 1 - idle, radioResetTime, false}, {f.reset, idle, radioReadyTime, false}} {
		if powered && s.powerUp {
			continue // already on and out of reset
		}
		if err := r.put(s.field, s.value); err != nil {
			return err
		}
		if err := pause(ctx, s.wait); err != nil {
			return err
		}
	}
	return r.put(f.kind, flag(d.cfg.Radios[n].Type == SX1250))
}

func (d *driver) resetRadios(ctx context.Context) error {
	for n := range d.cfg.Radios {
		if !d.cfg.Radios[n].Enable {
			continue
		}
		if err := d.resetRadio(ctx, n); err != nil {
			return fmt.Errorf("radio %c: %w", 'A'+n, err)
		}
	}
	return nil
}

func (d *driver) selectClock(context.Context) error {
	r := d.regs
	r.set(reg.ClkSelClkRadioA, flag(d.cfg.ClockSource == 0))
	r.set(reg.ClkSelClkRadioB, flag(d.cfg.ClockSource == 1))
	if err := r.flush(); err != nil {
		return err
	}
	if err := r.put(reg.ClkSelClkdivEn, 1); err != nil {
		return err
	}
	return r.put(reg.CommonCtrl0Clk32RifCtrl, 1)
}

// calibrateRadios takes the front end from the AGC for as long as it lasts.
func (d *driver) calibrateRadios(ctx context.Context) error {
	r := d.regs
	if err := r.put(reg.AGCCtrlForceHostFE, 1); err != nil {
		return err
	}
	r.set(reg.AGCRFEnAPA, 0)
	r.set(reg.AGCRFEnALNA, 0)
	if err := r.flush(); err != nil {
		return err
	}
	if d.radioType() == SX1250 {
		for n, c := range d.cfg.Radios {
			if !c.Enable {
				continue
			}
			if err := sx1250.New(radioPort{d.bus, n}).CalibrateImage(ctx, c.Freq); err != nil {
				return fmt.Errorf("radio %c: %w", 'A'+n, err)
			}
		}
	} else if err := d.calibrateSX125x(ctx); err != nil {
		return err
	}
	return r.put(reg.AGCCtrlForceHostFE, 0)
}

// radioType is the type of the radios: all enabled ones have the same.
func (d *driver) radioType() RadioType { return d.cfg.Radios[d.cfg.ClockSource].Type }

// sx125x translates the type.
func (t RadioType) sx125x() sx125x.Kind {
	if t == SX1255 {
		return sx125x.SX1255
	}
	return sx125x.SX1257
}

func (d *driver) setUpRadio(ctx context.Context, n int) error {
	c := d.cfg.Radios[n]
	if !c.Enable {
		return nil
	}
	if err := d.resetRadio(ctx, n); err != nil {
		return err
	}
	if c.Type != SX1250 {
		return d.sx125x(n).SetUp(ctx, c.Freq, n == d.cfg.ClockSource)
	}
	return sx1250.New(radioPort{d.bus, n}).SetUp(ctx, c.Freq, c.SingleInput)
}

// handOver clocks the chip from the radio again; then the AGC owns the radios.
func (d *driver) handOver(ctx context.Context) error {
	if err := d.selectClock(ctx); err != nil {
		return err
	}
	return d.regs.put(reg.CommonCtrl0HostRadioCtrl, 0)
}

func (d *driver) pulsePerSecond(context.Context) error {
	if err := d.regs.put(reg.TimestampGPSCtrlGPSEn, 1); err != nil {
		return err
	}
	return d.regs.put(reg.TimestampGPSCtrlGPSPol, 1)
}

// readOTP reads one byte of the one-time programmable memory, until two
// readings agree: nothing else would tell a wrong one.
func (d *driver) readOTP(at byte) (byte, error) {
	if err := d.regs.put(reg.OTPByteAddr, at); err != nil {
		return 0, err
	}
	before, err := d.regs.readByte(reg.OTPRdData.Addr())
	for range otpTries {
		if err != nil {
			return 0, err
		}
		var now byte
		if now, err = d.regs.readByte(reg.OTPRdData.Addr()); err == nil && now == before {
			return now, nil
		}
		before = now
	}
	return 0, fmt.Errorf("%w: no two of %d readings of OTP byte 0x%02X agree: lower the SPI clock, check the wiring", ErrNoChip, otpTries+1, at)
}

// otpTries is how often a byte of the OTP is read again.
const otpTries = 4

// pause waits d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
