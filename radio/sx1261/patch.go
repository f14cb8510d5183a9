package sx1261

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

// The patch: its size in bytes, 386 words most significant byte first, and
// what its version ends in.
const (
	PatchSize    = 1544
	PatchVersion = "2D06"
)

const (
	versionSize   = 15
	wordSize      = 4
	patchBurst    = 512 // bytes of patch in one frame
	patchTime     = time.Millisecond
	imageTime     = 10 * time.Millisecond
	modeDeadline  = 50 * time.Millisecond
	modePoll      = time.Millisecond
	patchUnlocked = 0x10

	// MinTransfer is the longest frame that a bus must carry.
	MinTransfer = 1 + readHeader + patchBurst
)

// Ready is what bits 6:1 of the status are in standby.
const (
	statusMask  = 0x7E
	statusReady = byte(StandbyRC)<<4 | 1<<1
)

// Bus carries one command to the radio in one chip-select frame.
type Bus interface {
	// Command clocks out op and args, and returns what came back in place of
	// the args.
	Command(op byte, args []byte) ([]byte, error)
}

// Radio brings one SX1261 up. Its methods wait.
type Radio struct {
	bus Bus
}

// New returns the radio behind bus.
func New(bus Bus) *Radio { return &Radio{bus: bus} }

// Patch loads the vendor's firmware patch and starts it. The patch is written
// in bursts and read back; if that shows anything else it is written again a
// word at a time, which is what the vendor's library does. Only the version
// that runs afterwards proves that it is right.
func (r *Radio) Patch(ctx context.Context, patch []byte) error {
	if err := r.standby(ctx); err != nil {
		return err
	}
	before, err := r.Version(ctx)
	if err != nil {
		return err
	}
	if err := r.do(ctx, write(regPatchEnable, patchUnlocked)); err != nil {
		return err
	}
	if err := r.writePatch(ctx, patch); err != nil {
		return err
	}
	if err := r.do(ctx, write(regPatchEnable, 0), Request{Op: UpdatePatch, Wait: patchTime}); err != nil {
		return err
	}
	version, err := r.Version(ctx)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(version, PatchVersion) {
		return fmt.Errorf("%w: version %q (%q before), one that ends in %s is wanted: is it an SX1261, and the patch of version 2.1.0 of the vendor's library?", ErrVersion, version, before, PatchVersion)
	}
	return nil
}

func (r *Radio) writePatch(ctx context.Context, patch []byte) error {
	for at := 0; at < len(patch); at += patchBurst {
		if err := r.do(ctx, write(regPatch+uint16(at), patch[at:min(at+patchBurst, len(patch))]...)); err != nil {
			return err
		}
	}
	if same, err := r.samePatch(ctx, patch); same || err != nil {
		return err
	}
	for at := 0; at < len(patch); at += wordSize {
		q := write(regPatch+uint16(at), patch[at:at+wordSize]...)
		if _, err := r.send(q); err != nil { // a register write is done when its frame is
			return err
		}
	}
	return nil
}

// samePatch compares the patch memory.
func (r *Radio) samePatch(ctx context.Context, patch []byte) (bool, error) {
	for at := 0; at < len(patch); at += patchBurst {
		want := patch[at:min(at+patchBurst, len(patch))]
		got, err := r.read(ctx, regPatch+uint16(at), len(want))
		if err != nil || !bytes.Equal(got, want) {
			return false, err
		}
	}
	return true, nil
}

// Version reads the version of what runs, e.g. "SX1261 V2D 2D06".
func (r *Radio) Version(ctx context.Context) (string, error) {
	b, err := r.read(ctx, regVersion, versionSize)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\x00 "), nil
}

// CalibrateImage tunes the image rejection for a band; args are the data
// sheet's for the band, the same as the SX1250's.
func (r *Radio) CalibrateImage(ctx context.Context, args [2]byte) error {
	if err := r.do(ctx, Request{Op: CalibrateImage, Args: args[:], Wait: imageTime}); err != nil {
		return err
	}
	answer, err := r.command(ctx, Request{Op: GetDeviceErrors, Args: make([]byte, 3)})
	if err != nil {
		return err
	}
	if answer[2]&0x10 != 0 {
		return fmt.Errorf("%w: device errors 0x%02X%02X", ErrImage, answer[1], answer[2])
	}
	return nil
}

// SetUp readies the radio for [Tune], with the filter of a channel of 125 kHz.
func (r *Radio) SetUp(ctx context.Context) error {
	if err := r.standby(ctx); err != nil {
		return err
	}
	return r.do(ctx, append([]Request{
		{Op: SetBufferBaseAddress, Args: []byte{0x80, 0x80}},
		write(regSensitivity, 0xCB),
	}, Measure(Width125)...)...)
}

// standby enters standby mode and waits until the radio says so.
func (r *Radio) standby(ctx context.Context) error {
	if err := r.do(ctx, Request{Op: SetStandby, Args: []byte{0}}); err != nil {
		return err
	}
	deadline := time.Now().Add(modeDeadline)
	for {
		answer, err := r.command(ctx, Status())
		if err != nil {
			return err
		}
		if answer[0]&statusMask == statusReady {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: status 0x%02X %v after standby was commanded, 0x%02X is wanted: %s", ErrMode, answer[0], modeDeadline, statusReady, advice(answer[0]))
		}
		if err := pause(ctx, modePoll); err != nil {
			return err
		}
	}
}

// advice is what a status in the wrong mode hints at.
func advice(status byte) string {
	if status == 0x00 || status == 0xFF {
		return "nothing answers; does this board have an SX1261, is this its chip select, is its reset line released?"
	}
	return "check its supply, crystal and reset line"
}

func (r *Radio) read(ctx context.Context, a uint16, n int) ([]byte, error) {
	answer, err := r.command(ctx, read(a, n))
	if err != nil {
		return nil, err
	}
	return registers(answer, n)
}

func (r *Radio) do(ctx context.Context, list ...Request) error {
	for _, q := range list {
		if _, err := r.command(ctx, q); err != nil {
			return err
		}
		if err := pause(ctx, q.Wait); err != nil {
			return err
		}
	}
	return nil
}

func (r *Radio) command(ctx context.Context, q Request) ([]byte, error) {
	if err := pause(ctx, Busy); err != nil {
		return nil, err
	}
	return r.send(q)
}

func (r *Radio) send(q Request) ([]byte, error) {
	answer, err := r.bus.Command(byte(q.Op), q.Args)
	if err != nil {
		return nil, fmt.Errorf("command 0x%02X: %w", byte(q.Op), err)
	}
	if len(answer) != len(q.Args) {
		return nil, fmt.Errorf("command 0x%02X: %w: %d bytes to %d", byte(q.Op), ErrAnswer, len(answer), len(q.Args))
	}
	return answer, nil
}

// pause waits d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
