package concentrator

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"gatewayd/concentrator/reg"
)

// The chip has two small microcontrollers: the AGC, which owns the radios'
// gains and switches them to transmit, and the arbiter, which hands packets
// to demodulators. Both are loaded at start and then configured through a few
// bytes of mailbox, one stage after the other.

const (
	mcuDeadline = 250 * time.Millisecond
	mcuPoll     = 500 * time.Microsecond
)

// mcu is what the two have in common.
type mcu struct {
	name       string
	memory     reg.Addr
	clear      reg.Field
	program    reg.Field
	parity     reg.Field
	statusAddr reg.Addr
	deadline   time.Duration // for each stage of a dialogue
}

var (
	agcMCU = mcu{"AGC", reg.AGCMemory, reg.AGCCtrlMCUClear, reg.AGCCtrlHostProg, reg.AGCCtrlParityError, reg.AGCMCUAGCStatus.Addr(), mcuDeadline}
	arbMCU = mcu{"ARB", reg.ARBMemory, reg.ARBCtrlMCUClear, reg.ARBCtrlHostProg, reg.ARBCtrlParityError, reg.ARBMCUARBStatus.Addr(), mcuDeadline}
)

// load writes a program, reads it back and starts the microcontroller.
func (d *driver) load(m mcu, program []byte) error {
	r := d.regs
	if r.get(m.clear) == 0 { // it runs another program: stop it first
		if err := r.put(m.clear, 1); err != nil {
			return err
		}
	}
	r.set(m.clear, 1)
	r.set(m.program, 1)
	r.set(reg.CommonPage, 0) // the memories are paged
	if err := r.flush(); err != nil {
		return err
	}
	if err := d.bus.write(m.memory, program); err != nil {
		return err
	}
	back := make([]byte, len(program))
	if err := d.bus.read(m.memory, back); err != nil {
		return err
	}
	if !bytes.Equal(back, program) {
		at := 0
		for back[at] == program[at] {
			at++
		}
		return fmt.Errorf("%w: %s memory reads back 0x%02X at 0x%04X, 0x%02X was written: lower the SPI clock, check the supply",
			ErrMCU, m.name, back[at], int(m.memory)+at, program[at])
	}
	if err := r.put(m.program, 0); err != nil {
		return err
	}
	if err := r.put(m.clear, 0); err != nil {
		return err
	}
	return d.checkParity(m)
}

// checkParity fails when the microcontroller found its program memory damaged.
func (d *driver) checkParity(m mcu) error {
	control, err := d.regs.readByte(m.parity.Addr())
	if err != nil {
		return err
	}
	if m.parity.Get(control) != 0 {
		return fmt.Errorf("%w: %s: parity flag set (control 0x%02X)", ErrMCU, m.name, control)
	}
	return nil
}

// await polls n bytes from the status byte on until the status is want and
// accept agrees with the rest; the last answer is returned on success.
func (d *driver) await(ctx context.Context, m mcu, want byte, n int, accept func(after []byte) error) error {
	deadline := time.Now().Add(m.deadline)
	for {
		data, err := d.regs.read(m.statusAddr, n)
		if err != nil {
			return err
		}
		bad := error(nil)
		if data[0] == want {
			if accept == nil {
				return nil
			}
			if bad = accept(data[1:]); bad == nil {
				return nil
			}
		}
		if time.Now().After(deadline) {
			if bad != nil {
				return fmt.Errorf("%w: %s status 0x%02X: %w", ErrMCU, m.name, want, bad)
			}
			return fmt.Errorf("%w: %s status is 0x%02X %v after its command, not 0x%02X", ErrMCU, m.name, data[0], m.deadline, want)
		}
		if err := pause(ctx, mcuPoll); err != nil {
			return err
		}
	}
}

// agcEcho is how far the MCU's mailbox bytes lie behind the AGC status: byte
// 0 is the last.
var agcEcho = int(reg.AGCMCUMailBoxRdDataByte0.Addr() - reg.AGCMCUAGCStatus.Addr())

// echoes checks that the MCU's mailbox bytes 0, 1, ... are those of want.
func echoes(want []byte) func([]byte) error {
	return func(after []byte) error {
		for i, v := range want {
			if got := after[agcEcho-1-i]; got != v {
				return fmt.Errorf("mailbox byte %d reads 0x%02X, not 0x%02X", i, got, v)
			}
		}
		return nil
	}
}

// agcStage is one exchange: payload bytes 0.. are written, then byte 3 as the
// signal; the AGC answers with a status and echoes the payload.
type agcStage struct {
	signal  byte
	payload []byte
	status  byte
	echo    []byte // nil means the payload
}

// agcParameters are what the AGC is told, a column per kind of radio.
type agcParameters struct {
	version  byte
	gains    [2]byte // analog gain: lowest, highest
	analog   [2]byte // analog thresholds
	dec      [2]byte // decimator attenuation: lowest, highest
	decTh    [3]byte // decimator thresholds
	channel  [2]byte // channel attenuation: lowest, highest
	chanTh   [2]byte // channel thresholds
	pa       []byte  // power amplifier: device, hpMax, duty cycle; nil for radios without
	paDelay  byte    // 100 µs
	fdxEcho  bool    // the gain stages carry the full-duplex flag in byte 2
	txDelay  [3]int64
	firmware image
}

// parameters returns the column of a kind of radio.
func (t RadioType) parameters() *agcParameters {
	if t == SX1250 {
		return &agcSX1250Parameters
	}
	return &agcSX125xParameters
}

var agcSX1250Parameters = agcParameters{
	version: 10,
	gains:   [2]byte{1, 13}, analog: [2]byte{3, 12},
	dec: [2]byte{4, 15}, decTh: [3]byte{40, 80, 90},
	channel: [2]byte{4, 14}, chanTh: [2]byte{52, 132},
	pa: []byte{0, 7, 4}, paDelay: 8,
	txDelay: [3]int64{19, 24, 21}, firmware: agcSX1250,
}

var agcSX125xParameters = agcParameters{
	version: 6,
	gains:   [2]byte{0, 9}, analog: [2]byte{16, 35},
	dec: [2]byte{7, 11}, decTh: [3]byte{45, 100, 115},
	channel: [2]byte{4, 14}, chanTh: [2]byte{52, 132},
	paDelay: 8, fdxEcho: true,
	txDelay: [3]int64{100, 106, 100}, firmware: agcSX125x,
}

// stages is the AGC's configuration dialogue.
func (p *agcParameters) stages(fullDuplex, lbt bool) []agcStage {
	auto := []byte{0xFF, 0xFF} // the AGC chooses the radio's gain
	echo := []byte{0xFF, 0xFF, 0}
	if p.fdxEcho {
		auto = append(auto, flag(fullDuplex))
		echo = auto
	}
	list := []agcStage{
		{signal: 0x80, payload: auto, status: 0x02, echo: echo},
		{signal: 0x20, payload: auto, status: 0x03, echo: echo},
		{signal: 0x03, payload: p.gains[:], status: 0x04},
		{signal: 0x04, payload: p.analog[:], status: 0x05},
		{signal: 0x05, payload: p.dec[:], status: 0x06},
		{signal: 0x06, payload: p.decTh[:], status: 0x07},
		{signal: 0x07, payload: p.channel[:], status: 0x08},
		{signal: 0x08, payload: p.chanTh[:], status: 0x09},
	}
	if p.pa != nil {
		list = append(list, agcStage{signal: 0x09, payload: p.pa, status: 0x0A})
	}
	return append(list,
		agcStage{signal: 0x0A, payload: []byte{p.paDelay}, status: 0x0B},
		agcStage{signal: 0x0B, payload: []byte{flag(lbt)}, status: 0x0F})
}

// configureAGC waits for the running AGC program and tells it its parameters,
// which follow the radio that clocks the chip.
func (d *driver) configureAGC(ctx context.Context) error {
	p := d.cfg.Radios[d.cfg.ClockSource].Type.parameters()
	if err := d.await(ctx, agcMCU, 1, 1+agcEcho, echoes([]byte{p.version})); err != nil {
		return fmt.Errorf("firmware version %d: %w", p.version, err)
	}
	for _, s := range p.stages(d.cfg.FullDuplex, d.cfg.SX1261.LBT.Enable) {
		if err := d.mailAGC(s.payload, s.signal); err != nil {
			return err
		}
		echo := s.echo
		if echo == nil {
			echo = s.payload
		}
		if err := d.await(ctx, agcMCU, s.status, 1+agcEcho, echoes(echo)); err != nil {
			return fmt.Errorf("stage 0x%02X: %w", s.signal, err)
		}
	}
	return d.mailAGC(nil, 0x0F) // done: nothing is answered
}

// mailAGC writes mailbox bytes 0.. and then byte 3, which makes the AGC look.
func (d *driver) mailAGC(payload []byte, signal byte) error {
	for i, v := range payload {
		d.regs.setByte(reg.AGCMCUMailBoxWrDataByte0.Addr()-reg.Addr(i), v)
	}
	if err := d.regs.flush(); err != nil {
		return err
	}
	return d.regs.put(reg.AGCMCUMailBoxWrDataByte3, signal)
}

// arbVersion is what the known arbiter program reports.
const arbVersion = 2

// configureARB waits for the running arbiter program and tells it for which
// spreading factors two demodulators work on the same packet.
func (d *driver) configureARB(ctx context.Context) error {
	if err := d.await(ctx, arbMCU, 1, 1, nil); err != nil {
		return err
	}
	version, err := d.regs.readByte(reg.ARBDebugSts0.Addr())
	if err != nil {
		return err
	}
	if version != arbVersion {
		return fmt.Errorf("%w: ARB: firmware version %d, not %d", ErrMCU, version, arbVersion)
	}
	dual := map[FineTimestamp]byte{FineTimestampOff: 0, FineTimestampAllSF: 0xFF, FineTimestampHighCapacity: 0x3F}[d.cfg.FineTimestamp]
	r := d.regs
	r.set(reg.ARBDebugCfg0, 7) // statistics are of SF7
	if err := r.flush(); err != nil {
		return err
	}
	r.set(reg.ARBDebugCfg3, dual)
	r.set(reg.ARBDebugCfg2, 3) // double detection filter
	if err := r.flush(); err != nil {
		return err
	}
	if err := r.put(reg.ARBDebugCfg1, 1); err != nil { // go on
		return err
	}
	return d.await(ctx, arbMCU, 0, 1, nil)
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}
