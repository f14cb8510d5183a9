package concentrator

import (
	"context"
	"math/rand/v2"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/spi"

	"gatewayd/radio"
	"gatewayd/radio/air"
)

// spiConn makes a spi.Conn of something that carries frames.
type spiConn struct {
	carrier interface {
		String() string
		Tx(w, r []byte) error
	}
}

func (c spiConn) String() string                 { return c.carrier.String() }
func (c spiConn) Tx(w, r []byte) error           { return c.carrier.Tx(w, r) }
func (c spiConn) Duplex() conn.Duplex            { return conn.Full }
func (c spiConn) TxPackets(p []spi.Packet) error { return c.Tx(p[0].W, p[0].R) }

// device is a station without LoRaWAN.
type device struct {
	b *testBench
	*air.Station
}

func (b *testBench) device() device {
	b.t.Helper()
	s, err := b.medium.Join(air.StationConfig{}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return device{b, s}
}

type heard struct {
	air.Reception
	err error
}

// hear waits for a downlink where it is to come.
func (d device) hear(x radio.Downlink) <-chan heard {
	out := make(chan heard, 1)
	at := x.At - 1_000_000
	go func() {
		r, err := d.Receive(context.Background(), air.Window{Freq: x.Freq, Mod: x.Mod, From: at - 50, Until: at + 50})
		out <- heard{r, err}
	}()
	return out
}

// say transmits an uplink.
func (d device) say(payload string, freq radio.Hertz, mod radio.Modulation) air.Transmission {
	d.b.t.Helper()
	t, err := d.Transmit(air.Frame{Payload: []byte(payload), Freq: freq, Mod: mod}, d.b.medium.Now()+1000, 14)
	if err != nil {
		d.b.t.Error(err)
	}
	return t
}

// chatter fills the receiver from many devices until stop is closed.
func (b *testBench) chatter(stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(1, 2))
	var devices []device
	for range 12 {
		devices = append(devices, b.device())
	}
	for {
		for i, d := range devices {
			mod := radio.LoRa{SF: uint8(7 + rng.IntN(3)), Bandwidth: 125_000}
			_, _ = d.Transmit(air.Frame{Payload: make([]byte, 20+rng.IntN(60)), Freq: radio.Hertz(867_100_000 + 200_000*(i%8)), Mod: mod}, b.medium.Now()+1000, 14)
		}
		select {
		case <-stop:
			return
		case <-time.After(150 * time.Millisecond):
		}
	}
}
