package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/concentrator"
	"gatewayd/dataapi"
)

// withoutRadio puts a board without a concentrator in the place of one that
// couldn't be opened: on an appliance the page in a browser is the only one
// who can say why. At each try to start it, the board is opened anew; when that
// works, the daemon restarts.
func (p *parts) withoutRadio(cfg config.Config, log *slog.Logger, why error) error {
	b, err := board.Lookup(cfg.Concentrator.Board)
	if err != nil {
		return errors.Join(why, err)
	}
	log.Error("no concentrator", "err", why)
	again := parts{conf: p.conf}
	p.firmware = concentrator.EmulatedFirmware() // never gets anywhere
	p.hardware = &board.Hardware{Board: b, Port: noPort{}, Via: "nothing", Reset: func(context.Context) error {
		if err := again.openRadio(cfg, log); err != nil {
			return fmt.Errorf("no concentrator: %w", err)
		}
		return errors.Join(again.hardware.Close(), p.end(dataapi.ErrRestart), errors.New("it is there now: gatewayd restarts"))
	}}
	return nil
}

// noPort leads nowhere.
type noPort struct{}

var errNoPort = errors.New("no concentrator is open")

func (noPort) String() string                                              { return "nothing" }
func (noPort) Close() error                                                { return nil }
func (noPort) LimitSpeed(physic.Frequency) error                           { return nil }
func (p noPort) Connect(physic.Frequency, spi.Mode, int) (spi.Conn, error) { return p, nil }
func (noPort) Tx(_, _ []byte) error                                        { return errNoPort }
func (noPort) TxPackets([]spi.Packet) error                                { return errNoPort }
func (noPort) Duplex() conn.Duplex                                         { return conn.Full }
