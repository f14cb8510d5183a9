package radio

import (
	"fmt"
	"time"
)

// Carrier is an unmodulated carrier, for measurements. It carries no payload.
type Carrier struct {
	Offset   Hertz         // from the Downlink's frequency, ±490 kHz
	Duration time.Duration // on the air
}

// Airtime implements [Modulation].
func (m Carrier) Airtime(int) time.Duration { return m.Duration }

// String is e.g. "carrier +50000 Hz".
func (m Carrier) String() string { return fmt.Sprintf("carrier %+d Hz", m.Offset) }
