package concentrator

import (
	"slices"

	"gatewayd/concentrator/reg"
)

// undo does by registers what the reset line would do, as far as that goes:
// for chips whose reset line is not ours, such as one behind a socket. The
// counters run on, and the radios are reset by the start itself.
func (d *driver) undo() error {
	d.regs.reset()
	// First what acts: reception, transmissions, microcontrollers, and only
	// then who owns the radios and where the clock comes from.
	for _, v := range []setting{
		{reg.CommonGenGlobalEn, 0},
		{reg.TXTrigImmediate, 0}, {reg.TXTrigImmediate.Chain(1), 0},
		{reg.AGCCtrlMCUClear, 1}, {reg.ARBCtrlMCUClear, 1},
		{reg.CommonCtrl0HostRadioCtrl, 1},
		{reg.ClkSelClkdivEn, 0},
		{reg.AGCRFEnARadio, 0}, {reg.AGCRFEnBRadio, 0},
	} {
		b, err := d.regs.readByte(v.field.Addr())
		if err != nil {
			return err
		}
		known, _ := reg.Lookup(v.field.Addr())
		want := b&known.ReadOnly | known.Reset&^known.ReadOnly
		if err := d.regs.put(wholeByte(v.field.Addr()), want); err != nil {
			return err
		}
	}
	if err := d.drain(); err != nil {
		return err
	}
	for _, run := range registerRuns() {
		if err := d.restore(run); err != nil {
			return err
		}
	}
	d.regs.reset()
	return nil
}

// wholeByte is all eight bits at an address as a field.
func wholeByte(a reg.Addr) reg.Field { return reg.Field(a)<<8 | 8 }

// drain empties the receive buffer.
func (d *driver) drain() error {
	var b [2]byte
	if err := d.bus.read(reg.RXBufferNbBytesMSB.Addr(), b[:]); err != nil {
		return err
	}
	n := min(int(b[0]&0x1F)<<8|int(b[1]), reg.RXFIFOSize)
	for n > 0 {
		k := min(n, fifoBurst)
		if _, err := d.bus.readFIFO(k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// run is a number of consecutive registers.
type run struct {
	from reg.Addr
	n    int
}

func registerRuns() (runs []run) {
	var all []reg.Addr
	reg.Each(func(a reg.Addr, _ reg.Byte) { all = append(all, a) })
	slices.Sort(all)
	for _, a := range all {
		if n := len(runs); n > 0 && runs[n-1].from+reg.Addr(runs[n-1].n) == a {
			runs[n-1].n++
			continue
		}
		runs = append(runs, run{a, 1})
	}
	return runs
}

// restore puts those registers of a run back that are not at their reset
// values.
func (d *driver) restore(r run) error {
	data, err := d.regs.read(r.from, r.n)
	if err != nil {
		return err
	}
	for k, v := range data {
		a := r.from + reg.Addr(k)
		b, _ := reg.Lookup(a)
		if (v^b.Reset)&b.Defined&^b.ReadOnly != 0 {
			d.regs.setByte(a, v&b.ReadOnly|b.Reset&^b.ReadOnly)
		}
	}
	return d.regs.flush()
}
