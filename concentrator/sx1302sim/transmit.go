package sx1302sim

import (
	"time"

	"gatewayd/concentrator/reg"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// State of a transmit chain as its status register shows it.
const (
	statusFree    = 0x80
	statusDelayed = 0x91
	statusGPS     = 0x92
	statusEmits   = 0x30
)

type txState uint8

const (
	txFree txState = iota
	txArmed
	txEmits
)

// transmitter is one of the two transmit chains.
type transmitter struct {
	chain   int
	state   txState
	by      byte  // the trigger bit
	fires   int64 // tick of the trigger
	ends    int64 // tick of the end of the emission, or of this piece of a carrier
	carrier bool  // emits until it is stopped
	timer   *time.Timer
	frame   air.Frame
	serial  uint64 // counts emissions, so that a late answer of the medium finds its own
	id      uint64 // in the medium, 0 while unknown
}

var (
	trigImmediate = reg.TXTrigImmediate.Mask()
	trigDelayed   = reg.TXTrigDelayed.Mask()
	trigGPS       = reg.TXTrigGPS.Mask()
	trigAny       = trigImmediate | trigDelayed | trigGPS
	trigClear     = reg.TXTrigTXFsmClr.Mask()
)

// status is the value of the status register.
func (t *transmitter) status(*Chip) byte {
	switch {
	case t.state == txEmits:
		return statusEmits
	case t.state == txArmed && t.by == trigGPS:
		return statusGPS
	case t.state == txArmed:
		return statusDelayed
	}
	return statusFree
}

// trigger reacts to a write to the trigger register: a bit that rises arms,
// the fall of the bit that armed disarms, and all bits 0 stop an emission.
func (t *transmitter) trigger(c *Chip, old, v byte) {
	rose, fell := v&^old&trigAny, old&^v
	if v&trigClear != 0 || t.state == txArmed && fell&t.by != 0 || t.state == txEmits && v&trigAny == 0 {
		t.stop(c)
	}
	switch {
	case rose == 0 || c.agc.calibrates(): // that firmware has the transmitter
	case t.state != txFree:
		c.violation("trigger 0x%02X of chain %d while its status is 0x%02X; wait until it is free (0x80) or clear all triggers", rose, t.chain, t.status(c))
	case !c.clocked() || !c.agc.ready():
		c.violation("trigger 0x%02X of chain %d without clock or AGC firmware; start the chip first", rose, t.chain)
	default:
		t.arm(c, rose)
	}
}

// arm sets the moment at which the trigger fires. A delayed trigger fires
// when the low 32 bits of the counter equal its timer.
func (t *transmitter) arm(c *Chip, rose byte) {
	t.state, t.serial = txArmed, t.serial+1
	switch {
	case rose&trigImmediate != 0:
		t.by, t.fires = trigImmediate, c.now
	case rose&trigDelayed != 0:
		timer := uint32(c.file.word(reg.TXTimerTrigByte3TimerDelayed.Chain(t.chain), reg.TXTimerTrigByte2TimerDelayed.Chain(t.chain)))<<16 |
			uint32(c.file.word(reg.TXTimerTrigByte1TimerDelayed.Chain(t.chain), reg.TXTimerTrigByte0TimerDelayed.Chain(t.chain)))
		t.by, t.fires = trigDelayed, c.now+int64(timer-uint32(c.now))
		if late := int64(1)<<32 - (t.fires - c.now); late < ticksPerSecond {
			c.log.Warn("trigger came too late: it fires in 134 s", "chain", t.chain, "late", durationOf(late))
		}
	default:
		t.by, t.fires = trigGPS, c.nextPPS()
	}
	t.advance(c)
	if t.state == txArmed {
		t.wake(c, t.fires)
	}
}

// wake makes sure that the chain is looked at when its trigger fires, or when
// a piece of its carrier ends.
func (t *transmitter) wake(c *Chip, tick int64) {
	serial := t.serial
	t.timer = time.AfterFunc(durationOf(tick-c.now), func() {
		c.mu.Lock()
		defer c.release()
		if t.serial != serial {
			return
		}
		if c.tick(); c.now < tick && t.serial == serial { // too early, by the chip's crystal
			t.wake(c, tick)
		}
	})
}

// advance fires a trigger and ends an emission whose time has come.
func (t *transmitter) advance(c *Chip) {
	if t.state == txArmed && c.now >= t.fires {
		t.begin(c)
	}
	if t.state != txEmits || c.now < t.ends {
		return
	}
	if t.carrier {
		t.emit(c, t.frame, t.ends)
		return
	}
	t.state, t.id = txFree, 0
}

// begin reads the registers and the payload and puts the frame on the air.
func (t *transmitter) begin(c *Chip) {
	f, err := c.modulated(t.chain)
	if err != nil {
		t.state = txFree
		c.violation("transmission can't start: %w", err)
		return
	}
	allowed := !c.agc.lbt || c.sx1261.allows(c, t.fires)
	c.agc.attempted(c, t.chain, allowed)
	if !allowed {
		t.state = txFree
		return
	}
	t.state, t.frame = txEmits, f
	_, t.carrier = f.Mod.(radio.Carrier)
	t.emit(c, f, t.fires+c.startDelay(t.chain, f.Mod))
}

// emit puts a frame, or a piece of a carrier, on the air. How long it takes is
// told by the air, not by the chip's crystal.
func (t *transmitter) emit(c *Chip, f air.Frame, start int64) {
	at := c.instant(start)
	t.id, t.ends = 0, c.ticksAt(at.Add(f.Mod.Airtime(len(f.Payload))))
	if t.carrier {
		t.wake(c, t.ends)
	}
	if c.station == nil {
		return
	}
	power, serial := c.power(t.chain), t.serial
	c.later(func() { t.radiate(c, f, at, power, serial) })
}

// radiate gives the frame to the medium. The caller doesn't hold mu.
func (t *transmitter) radiate(c *Chip, f air.Frame, at radio.Instant, power radio.DBm, serial uint64) {
	sent, err := c.station.Transmit(f, at, power)
	c.mu.Lock()
	defer c.release()
	switch {
	case err != nil:
		c.violation("transmission refused by the air: %w", err)
	case t.serial == serial && t.state == txEmits:
		t.id = sent.ID
	case t.serial != serial: // stopped in the meantime
		c.later(func() { c.station.Abort(sent.ID) })
	}
}

// stop disarms the chain or cuts its emission off.
func (t *transmitter) stop(c *Chip) {
	if t.timer != nil {
		t.timer.Stop()
	}
	if id := t.id; id != 0 {
		c.later(func() { c.station.Abort(id) })
	}
	t.state, t.id, t.carrier = txFree, 0, false
	t.serial++
}
