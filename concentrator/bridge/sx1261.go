package bridge

import (
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// SX1261 is the port of the card's SX1261, which has a chip select of its
// own. The microcontroller waits for the radio before each frame, 4 ms at most.
func (p *Port) SX1261() spi.PortCloser { return sx1261{p} }

// sx1261 is both port and connection.
type sx1261 struct{ *Port }

func (s sx1261) String() string { return s.Port.String() + "/sx1261" }

// Close does nothing: the line is the card's.
func (s sx1261) Close() error { return nil }

func (s sx1261) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if _, err := s.Port.Connect(f, mode, bits); err != nil {
		return nil, err
	}
	return s, nil
}

func (s sx1261) Tx(w, r []byte) error { return s.TxPackets([]spi.Packet{{W: w, R: r}}) }

func (s sx1261) TxPackets(list []spi.Packet) error { return s.frames(SX1261, list) }
