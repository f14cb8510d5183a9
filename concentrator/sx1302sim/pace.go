package sx1302sim

import "time"

// Timing is how long transfers last. The zero value is no time at all.
type Timing struct {
	Hz          int           // SPI clock; 0 means that bits take no time
	PerTransfer time.Duration // system call, chip select
	PerByte     time.Duration // gaps between bytes
	// Exact sleeps each transfer's time, for use in a synctest bubble. Without
	// it time is owed until a millisecond has come together, because a real
	// sleep is not shorter than that.
	Exact bool
}

// of returns how long a transfer of n bytes lasts.
func (t Timing) of(n int) time.Duration {
	d := t.PerTransfer + time.Duration(n)*t.PerByte
	if t.Hz > 0 {
		d += time.Duration(n) * 8 * time.Second / time.Duration(t.Hz)
	}
	return d
}

// smallestSleep is the debt at which pace sleeps.
const smallestSleep = time.Millisecond

// pace makes transfers last.
type pace struct{ owed time.Duration }

func (p *pace) wait(t Timing, n int) {
	d := t.of(n)
	if d == 0 {
		return
	}
	if t.Exact {
		time.Sleep(d) //nolint:forbidigo // the transfer lasts so long, nothing can end it
		return
	}
	if p.owed += d; p.owed < smallestSleep {
		return
	}
	began := time.Now()
	time.Sleep(p.owed) //nolint:forbidigo // as above
	p.owed -= time.Since(began)
}
