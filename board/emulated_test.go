package board_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"gatewayd/board"
	"gatewayd/concentrator/sx1302sim"
)

// version reads the chip's version register, 0x5606.
func version(t *testing.T, p spi.Port) byte {
	t.Helper()
	c, err := p.Connect(physic.MegaHertz, spi.Mode0, 8)
	if err != nil {
		t.Fatal(err)
	}
	r := make([]byte, 5)
	if err := c.Tx([]byte{0, 0x56, 0x06, 0, 0}, r); err != nil {
		t.Fatal(err)
	}
	return r[4]
}

func TestEmulatedBoardHasAChipAnAntennaAndAResetLine(t *testing.T) {
	hw, chip, err := board.Emulate(board.Emulation{Timing: &sx1302sim.Timing{}})
	if err != nil {
		t.Fatal(err)
	}
	if v := version(t, hw.Port); v != 0x10 {
		t.Errorf("version 0x%02x, an SX1302 has 0x10", v)
	}
	if g := hw.Medium.Gateways(); len(g) != 1 || g[0].String() != "0016c0fffe000001" {
		t.Errorf("gateways in the air: %v", g)
	}
	if err := hw.Hold(); err != nil {
		t.Fatal(err)
	}
	if v := version(t, hw.Port); v != 0 {
		t.Errorf("version 0x%02x from a chip in reset", v)
	}
	if err := hw.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := version(t, hw.Port); v != 0x10 {
		t.Errorf("version 0x%02x after the reset", v)
	}
	if n := chip.Violations(); n != 0 {
		t.Errorf("%d violations", n)
	}
	if err := hw.Close(); err != nil {
		t.Error(err)
	}
}

func TestBoardReachesAChipBehindASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spi.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	chip, err := sx1302sim.New(sx1302sim.Config{Model: sx1302sim.SX1303})
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	go func() { _ = chip.Serve(t.Context(), l) }()
	b, err := board.Lookup("rak5146")
	if err != nil {
		t.Fatal(err)
	}
	hw, err := b.Open(board.Options{SPI: "unix:" + path, SPIHz: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if v := version(t, hw.Port); v == 0 || v == 0xFF {
		t.Errorf("version 0x%02x", v)
	}
	if hw.Reset != nil || hw.Hold != nil {
		t.Error("a reset line behind a socket")
	}
	if hw.Board.SPIHz != 1_000_000 {
		t.Errorf("clock %v Hz", hw.Board.SPIHz)
	}
	if err := hw.Close(); err != nil {
		t.Error(err)
	}
}

func TestMissingSocketOrDeviceNodeSaysWhatToDo(t *testing.T) {
	b, err := board.Lookup("rak2287")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "none.sock")
	if _, err := b.Open(board.Options{SPI: "unix:" + path}); err == nil || !strings.Contains(err.Error(), "gatewayd sim --spi-socket "+path) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Open(board.Options{SPI: "/dev/spidev99.9"}); err == nil || !strings.Contains(err.Error(), "/dev/spidev99.9") {
		t.Errorf("got %v", err)
	}
}
