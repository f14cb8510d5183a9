package concentrator

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio/sx125x"
)

// SX1255 and SX1257 radios are calibrated by a program of its own on the AGC,
// before the AGC's. It measures with a test tone, and is led through its
// stages by numbers in mailbox byte 3, each of which ends with a status:
//
//	receivers     how to correct amplitude and phase of the two branches, so
//	              that a signal has no image on the other side of the centre
//	transmitters  which DC offsets cancel the carrier, for each pair of gains
//
// Each is measured three times; the runs must agree and be good enough.

// calMCU is the AGC with the calibration program: its stages measure, which
// takes longer than a look into a mailbox.
var calMCU = mcu{"calibration", agcMCU.memory, agcMCU.clear, agcMCU.program, agcMCU.parity, agcMCU.statusAddr, 2 * time.Second}

const (
	calVersion    = 1
	calBegin      = 0xFF
	calRuns       = 3
	calTone       = 16 // 250 kHz in units of 1/64 MHz
	calSpread     = 4  // the runs may differ by so much
	calImage      = 50 // dB that image and noise must be below the tone
	calLeakage    = 10 // dB that the carrier must fall
	calThresholdR = 8
	calThresholdT = 64
)

// correction is what one run found, in units of the correcting registers.
type correction struct {
	first, second int8 // amplitude and phase, or the offsets of I and Q
	reject        int  // dB, truncated
	noise         int  // dB, receivers only
}

// dcKey is a setting of a transmitter whose carrier leaks in its own way.
type dcKey struct {
	chain      int
	dac, mixer uint8
}

// calibrateSX125x calibrates all radios. The caller has the front end.
func (d *driver) calibrateSX125x(ctx context.Context) error {
	for n, r := range d.cfg.Radios {
		if !r.Enable {
			continue
		}
		if err := d.sx125x(n).CheckVersion(); err != nil {
			return fmt.Errorf("radio %c: %w", 'A'+n, err)
		}
	}
	if err := d.load(calMCU, d.cfg.Firmware.Calibration); err != nil {
		return err
	}
	if err := d.await(ctx, calMCU, 1, 1+agcEcho, echoes([]byte{calVersion})); err != nil {
		return fmt.Errorf("calibration firmware version %d: %w", calVersion, err)
	}
	if _, err := d.calStage(ctx, nil, calBegin, 0); err != nil {
		return err
	}
	var images [2]correction
	for n, r := range d.cfg.Radios {
		if !r.Enable {
			continue
		}
		best, err := d.calibrateImage(ctx, n)
		if err != nil {
			return fmt.Errorf("image of radio %c: %w", 'A'+n, err)
		}
		images[n] = best
	}
	for n, f := range [2][2]reg.Field{
		{reg.RadioFEIQCompAmpCoeffRadioA, reg.RadioFEIQCompPhiCoeffRadioA},
		{reg.RadioFEIQCompAmpCoeffRadioB, reg.RadioFEIQCompPhiCoeffRadioB},
	} {
		d.regs.set(f[0], byte(images[n].first))
		d.regs.set(f[1], byte(images[n].second))
	}
	if err := d.regs.flush(); err != nil {
		return err
	}
	return d.calibrateTransmitters(ctx, images)
}

// calibrateImage measures one receiver: with the other radio's tone, or, if
// there is none or that is not good enough, with its own through its loopback.
func (d *driver) calibrateImage(ctx context.Context, n int) (correction, error) {
	if d.cfg.Radios[1-n].Enable {
		if best, err := d.imageRuns(ctx, n, 1-n); err == nil || ctx.Err() != nil {
			return best, err
		}
	}
	return d.imageRuns(ctx, n, n)
}

func (d *driver) imageRuns(ctx context.Context, rx, tx int) (correction, error) {
	r := d.sx125x(rx)
	t := r
	if tx != rx {
		t = d.sx125x(tx)
	}
	if err := sx125x.ImageTest(ctx, r, t, d.cfg.Radios[rx].Freq); err != nil {
		return correction{}, err
	}
	if err := d.regs.put(reg.RadioFESigAnaCfgRadioSel, flag(rx == 0)); err != nil {
		return correction{}, err
	}
	return bestOf(calImage, func() (correction, error) { return d.measureImage(ctx, rx) })
}

// measureImage leads the program through one measurement of a receiver.
func (d *driver) measureImage(ctx context.Context, n int) (correction, error) {
	var c correction
	if err := d.mailAGC([]byte{0, calTone, byte(n)}, 0); err != nil {
		return c, err
	}
	var m [3]mail // signal; image before and correction; image and noise after
	for _, s := range []struct {
		payload      []byte
		send, status byte
		into         *mail
	}{
		{nil, 1, 1, nil}, {nil, 2, 2, nil}, {nil, 3, 3, nil},
		{[]byte{0, calThresholdR, 0}, 4, 6, &m[0]},
		{nil, 6, 7, &m[1]}, {nil, 7, 8, &m[2]}, {nil, 8, [2]byte{0x11, 0x22}[n], nil},
	} {
		got, err := d.calStage(ctx, s.payload, s.send, s.status)
		if err != nil {
			return c, err
		}
		if s.into != nil {
			*s.into = got
		}
	}
	signal := m[0].low()
	c.first, c.second = int8(m[1][1]), int8(m[1][0])
	c.reject, c.noise = ratio(signal, m[2].high()), ratio(signal, m[2].low())
	return c, nil
}

// calibrateTransmitters finds the DC offsets for each pair of gains that a
// transmitter's table has.
func (d *driver) calibrateTransmitters(ctx context.Context, images [2]correction) error {
	d.dcOffsets = map[dcKey]correction{}
	for n, r := range d.cfg.Radios {
		if !r.Enable || !r.Transmit {
			continue
		}
		for _, g := range r.Gains {
			k := dcKey{n, g.DAC, g.Mixer}
			if _, done := d.dcOffsets[k]; done {
				continue
			}
			best, err := d.leakageRuns(ctx, k, images[n])
			if err != nil {
				return fmt.Errorf("carrier of radio %c at DAC gain %d, mixer gain %d: %w", 'A'+n, k.dac, k.mixer, err)
			}
			d.dcOffsets[k] = best
		}
	}
	return nil
}

func (d *driver) leakageRuns(ctx context.Context, k dcKey, image correction) (correction, error) {
	if err := d.sx125x(k.chain).LeakageTest(ctx, d.cfg.Radios[k.chain].Freq, k.dac, k.mixer); err != nil {
		return correction{}, err
	}
	r := d.regs
	for _, s := range []setting{
		{reg.RadioFESigAnaCfgRadioSel, flag(k.chain == 0)},
		{reg.TXRffeIFCtrlTXMode.Chain(k.chain), 0}, // no modulation
	} {
		if err := r.put(s.field, s.value); err != nil {
			return correction{}, err
		}
	}
	notch := [2]reg.Field{reg.RadioFECtrl0RadioADCNotchEn, reg.RadioFECtrl0RadioBDCNotchEn}[k.chain]
	return bestOf(calLeakage, func() (correction, error) {
		start := reg.TXTrigImmediate.Chain(k.chain) // the transmitter's sample stream
		for _, s := range []setting{{start, 1}, {start, 0}, {notch, 1}} {
			if err := r.put(s.field, s.value); err != nil {
				return correction{}, err
			}
		}
		return d.measureLeakage(ctx, k.chain, image)
	})
}

// leakageSteps are the stages after the offsets have been found: the search's
// steps and levels, which nobody needs but which have to be fetched.
func leakageSteps(n int) (steps [][2]byte) {
	steps = [][2]byte{{7, 8}, {8, 9}, {9, 10}, {10, 12}}
	for i := byte(12); i < 32; i++ {
		steps = append(steps, [2]byte{i, i + 1})
	}
	return append(steps, [2]byte{32, [2]byte{0x33, 0x44}[n]})
}

// measureLeakage leads the program through one measurement of a transmitter.
func (d *driver) measureLeakage(ctx context.Context, n int, image correction) (correction, error) {
	c := correction{noise: math.MaxInt}
	if err := d.mailAGC([]byte{0, calTone, byte(n) + 2}, 0); err != nil {
		return c, err
	}
	var signal, found mail
	for _, s := range []struct {
		payload      []byte
		send, status byte
		into         *mail
	}{
		{nil, 1, 1, nil},
		{[]byte{0, byte(image.second), byte(image.first)}, 2, 2, nil},
		{[]byte{0, 0, 0}, 3, 3, nil},
		{[]byte{0, calThresholdT, 0}, 4, 6, &signal},
		{nil, 6, 7, &found},
	} {
		got, err := d.calStage(ctx, s.payload, s.send, s.status)
		if err != nil {
			return c, err
		}
		if s.into != nil {
			*s.into = got
		}
	}
	for _, s := range leakageSteps(n) {
		if _, err := d.calStage(ctx, nil, s[0], s[1]); err != nil {
			return c, err
		}
	}
	c.first, c.second = int8(found[1]), int8(found[0])
	c.reject = ratio(signal.low(), found.high())
	return c, nil
}

// mail is the AGC's mailbox, bytes 0 to 3.
type mail [4]byte

func (m mail) low() uint16  { return binary.LittleEndian.Uint16(m[:2]) }
func (m mail) high() uint16 { return binary.LittleEndian.Uint16(m[2:]) }

// calStage writes mailbox bytes 0.. and the stage's number, waits for the
// status and returns what is in the mailbox then.
func (d *driver) calStage(ctx context.Context, payload []byte, number, status byte) (m mail, err error) {
	if err := d.mailAGC(payload, number); err != nil {
		return m, err
	}
	err = d.await(ctx, calMCU, status, 1+agcEcho, func(after []byte) error {
		for i := range m {
			m[i] = after[agcEcho-1-i]
		}
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("stage %d: %w", number, err)
	}
	return m, nil
}

// ratio is signal over other in dB, truncated.
func ratio(signal, other uint16) int {
	if signal == 0 {
		return 0
	}
	return int(20 * math.Log10(float64(signal)/math.Max(float64(other), 1)))
}

// bestOf measures calRuns times and returns the run with the best rejection,
// or an error when the runs don't agree or one is too bad.
func bestOf(reject int, measure func() (correction, error)) (correction, error) {
	var runs [calRuns]correction
	for i := range runs {
		c, err := measure()
		if err != nil {
			return correction{}, err
		}
		runs[i] = c
	}
	return choose(reject, runs[:])
}

func choose(reject int, runs []correction) (correction, error) {
	best, low, high := runs[0], runs[0], runs[0]
	for _, c := range runs {
		low = correction{min(low.first, c.first), min(low.second, c.second), min(low.reject, c.reject), min(low.noise, c.noise)}
		high = correction{first: max(high.first, c.first), second: max(high.second, c.second)}
		if c.reject > best.reject {
			best = c
		}
	}
	switch {
	case int(high.first)-int(low.first) > calSpread || int(high.second)-int(low.second) > calSpread:
		return best, fmt.Errorf("%w: %d runs found corrections between %d/%d and %d/%d; they may differ by %d: check antenna and supply, and try again",
			ErrCalibration, len(runs), low.first, low.second, high.first, high.second, calSpread)
	case low.reject < reject:
		return best, fmt.Errorf("%w: rejection of %d dB, %d are needed", ErrCalibration, low.reject, reject)
	case low.noise < calImage:
		return best, fmt.Errorf("%w: noise %d dB below the test tone, %d are needed", ErrCalibration, low.noise, calImage)
	}
	return best, nil
}

// sx125x speaks to one radio; resetRadio forgets what is known of it.
func (d *driver) sx125x(n int) *sx125x.Radio {
	if d.radios[n] == nil {
		d.radios[n] = sx125x.New(radioPort{d.bus, n}, d.cfg.Radios[n].Type.sx125x())
	}
	return d.radios[n]
}
