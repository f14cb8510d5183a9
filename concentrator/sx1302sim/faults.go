package sx1302sim

import (
	"errors"
	"sync"
)

// Answer is what the data line from the chip shows.
type Answer uint8

// Answers.
const (
	AnswerNormal  Answer = iota
	AnswerZeroes         // every byte is 0x00: no power, or no chip select
	AnswerOnes           // every byte is 0xFF: nothing on the bus
	AnswerUnreset        // the chip never saw its reset: version 0x05, writes are lost
)

// unresetVersion is what an SX1302 shows that was not reset after power-up.
const unresetVersion = 0x05

// ErrTransfer is returned from a transfer that Misbehaviour.FailTransfer names.
var ErrTransfer = errors.New("SPI transfer failed (simulated fault)")

// Misbehaviour is what can go wrong. The zero value is a chip that works.
// Countdowns count from the moment they are set and end at 0.
type Misbehaviour struct {
	Answer       Answer
	FailTransfer int // this transfer from now fails with ErrTransfer; 1 is the next
	LosePower    int // at this transfer from now registers and memories are lost, and the chip is unreset until its reset pin is used; 1 is the next

	TornCounter int   // so many of the next counter reads tear: the top byte is from before a carry
	TornCount   int   // so many of the next receive buffer byte counts tear: the high byte is too small
	CounterJump int64 // ticks that the counter jumps, once, at the next transfer

	CorruptFIFO []int // bytes of the receive buffer, counted from the next one read, that come out inverted

	MuteAGC, MuteARB     bool // the MCU doesn't answer and doesn't start
	ParityAGC, ParityARB bool // the MCU's parity error bit is set
	StuckAGC             byte // other than 0: the AGC status stays so, and nothing is received (seen in the field: 0x14)
	StuckARB             bool // the arbiter's debug counters stand still, and nothing is received
	NoClock              bool // the radios give no clock: counters and MCUs stand still

	Analog      Analog
	RadioErrors [2]uint16 // device errors of SX1250 radios
	DeadRadios  [2]bool   // the radio doesn't answer and gives no clock
	ResetBroken bool      // the reset pin isn't connected
	StuckBit    bool      // a bit of the AGC's program memory is 0 whatever is written
	Noise       int       // in one of so many transfers a bit of the answer is turned; 0: in none

	SX1261 SX1261Misbehaviour
}

// Analog is what can be wrong with SX1255/57 radios, by radio: calibration
// finds it. Amplitudes are those of analog.go: the test tone has 32768.
type Analog struct {
	Image   [2]uint16 // the receiver's image that no correction takes away
	Leakage [2]uint16 // the transmitter's carrier that no offset takes away
	NoTone  [2]bool   // the transmitter gives nothing
	NoLock  [2]bool   // no PLL locks
	Wander  int8      // each second run finds another correction, by so much
}

// Faults makes a chip misbehave. The zero value does not; Set may be called
// at any time, from any goroutine.
type Faults struct {
	mu     sync.Mutex
	m      Misbehaviour
	popped int // bytes read from the FIFO since Set
	quiet  int // transfers since the last bit that noise turned
}

// Set changes the misbehaviour: f gets the present state.
func (f *Faults) Set(change func(*Misbehaviour)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.m)
	f.popped = 0
}

// transfer counts a transfer: whether it fails, whether the power goes, and
// what the chip answers.
func (f *Faults) transfer() (fails, dies bool, a Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return countdown(&f.m.FailTransfer), countdown(&f.m.LosePower), f.m.Answer
}

// countdown tells whether n reaches 0 now.
func countdown(n *int) bool {
	if *n <= 0 {
		return false
	}
	*n--
	return *n == 0
}

// take uses up one of n occurrences.
func (f *Faults) take(n *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *n <= 0 {
		return false
	}
	*n--
	return true
}

func (f *Faults) active(b *bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *b
}

// stuckAGC returns the status that the AGC is stuck at, 0 if it isn't.
func (f *Faults) stuckAGC() byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.m.StuckAGC
}

// analog returns what is wrong with the radios.
func (f *Faults) analog() Analog {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.m.Analog
}

func (f *Faults) resetBroken() bool { return f.active(&f.m.ResetBroken) }

// noise turns a bit of an answer now and then.
func (f *Faults) noise(r []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m.Noise <= 0 || len(r) == 0 {
		return
	}
	if f.quiet++; f.quiet >= f.m.Noise {
		f.quiet = 0
		r[len(r)-1] ^= 0x10
	}
}

// deadRadio tells whether a radio is dead.
func (f *Faults) deadRadio(i int) bool { return f.active(&f.m.DeadRadios[i]) }

func (f *Faults) takeJump() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	j := f.m.CounterJump
	f.m.CounterJump = 0
	return j
}

// pop returns what the next byte of the FIFO is exclusive-ored with.
func (f *Faults) pop() (mask byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.m.CorruptFIFO {
		if k == f.popped {
			mask = 0xFF
		}
	}
	f.popped++
	return mask
}

func (f *Faults) radioErrors(c *Chip, s *sx1250) uint16 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := c.indexOf(s); c.radios[i].dev == s {
		return f.m.RadioErrors[i]
	}
	return 0 // the SX1261's
}
