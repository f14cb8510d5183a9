package concentrator

import (
	"sync/atomic"
	"time"
)

// Stats is what happened since the Concentrator was made, over all its runs.
type Stats struct {
	Starts        uint64        // completed
	StartTime     time.Duration // of the last one
	StartFrames   uint64        // SPI frames of the last one
	StartBytes    uint64
	Polls         uint64 // looks at the receive buffer
	Frames, Bytes uint64 // on the SPI bus, headers included
	Retries       uint64 // transfers that failed and were repeated
	Failures      uint64 // transfers that failed

	Packets      uint64 // handed up
	CRCBad       uint64 // of these, with a bad payload CRC
	Dropped      uint64 // good, but nobody took them from Uplinks in time
	Duplicates   uint64 // second demodulations of the same packet
	BadChecksum  uint64 // damaged in the receive buffer
	Mismatch     uint64 // payload CRC wrong though the chip says good
	Invalid      uint64 // impossible channel, modem or rate
	Truncated    uint64
	Skipped      uint64 // bytes between packets
	Overflows    uint64 // receive buffer found full
	FIFOErrors   uint64 // failed reads of it
	CounterReads uint64
	Sent         uint64 // transmissions that were on the air
	TooLate      uint64 // accepted transmissions that could not be armed in time
	ChannelBusy  uint64 // accepted transmissions that listen before talk held back
	TXFailed     uint64 // accepted transmissions that failed for another reason
	Refused      uint64 // Schedule calls refused
	LostReports  uint64 // nobody took them from Reports
	Stalls       uint64 // runs that ended with ErrStalled or ErrCounter
	Broken       uint64 // runs that ended with another error
	BusOverhead  time.Duration

	Celsius        float64 // that RSSI is corrected for
	CelsiusAssumed bool    // there is no reading

	WorstLateness time.Duration // of the loop, beyond a planned moment

	Pulses        uint64 // pulses of the satellite receiver that tie the counter to GPS time
	PulsesRefused uint64 // more than 10 ppm off, or not certain whose they are
	PulsesMissed  uint64 // the receiver named a second, but the chip had no pulse
	Time          TimeState
}

// counters are the live figures behind Stats.
type counters struct {
	broken                                                             atomic.Uint64
	starts, startNS, startFrames, startBytes, polls                    atomic.Uint64
	packets, crcBad, dropped, duplicates                               atomic.Uint64
	badChecksum, mismatch, invalid, truncated, skipped                 atomic.Uint64
	overflows, fifoErrors, counterReads                                atomic.Uint64
	sent, tooLate, txFailed, refused, lostReports, stalls, worstLateNS atomic.Uint64
	busy                                                               atomic.Uint64
	pulses, pulsesRefused, pulsesMissed                                atomic.Uint64
}

// Stats returns a snapshot; it may be called from any goroutine.
func (c *Concentrator) Stats() Stats {
	n, b := &c.stats, c.bus
	celsius, known := c.temperature()
	return Stats{
		Starts: n.starts.Load(), StartTime: time.Duration(n.startNS.Load()),
		StartFrames: n.startFrames.Load(), StartBytes: n.startBytes.Load(), Polls: n.polls.Load(),
		Frames: b.frames.Load(), Bytes: b.bytes.Load(), Retries: b.retries.Load(), Failures: b.failures.Load(),
		Packets: n.packets.Load(), CRCBad: n.crcBad.Load(), Dropped: n.dropped.Load(), Duplicates: n.duplicates.Load(),
		BadChecksum: n.badChecksum.Load(), Mismatch: n.mismatch.Load(), Invalid: n.invalid.Load(),
		Truncated: n.truncated.Load(), Skipped: n.skipped.Load(),
		Overflows: n.overflows.Load(), FIFOErrors: n.fifoErrors.Load(), CounterReads: n.counterReads.Load(),
		Sent: n.sent.Load(), TooLate: n.tooLate.Load(), ChannelBusy: n.busy.Load(), TXFailed: n.txFailed.Load(), Refused: n.refused.Load(),
		LostReports: n.lostReports.Load(), Stalls: n.stalls.Load(), Broken: n.broken.Load(),
		Celsius: celsius, CelsiusAssumed: !known,
		BusOverhead: time.Duration(b.overhead.Load()), WorstLateness: time.Duration(n.worstLateNS.Load()),
		Pulses: n.pulses.Load(), PulsesRefused: n.pulsesRefused.Load(), PulsesMissed: n.pulsesMissed.Load(),
		Time: c.Time(),
	}
}

// count adds what decode found.
func (n *counters) count(f findings) {
	n.badChecksum.Add(uint64(f.badChecksum))
	n.mismatch.Add(uint64(f.mismatch))
	n.invalid.Add(uint64(f.invalid))
	n.truncated.Add(uint64(f.truncated))
	n.skipped.Add(uint64(f.skipped))
}
