package concentrator

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"gatewayd/concentrator/reg"
	"gatewayd/radio/sx1261"
)

// Firmware is what the chip's two microcontrollers run: the AGC's image
// depends on the type of the radio that clocks the chip, the arbiter's
// doesn't. Calibration is for the SX125x radios only. Each is 8192 bytes, in
// the order in which they are written.
//
// The images are the vendor's and are no part of this project: [LoadFirmware]
// reads them from a folder, [ImportFirmware] fills that folder from the
// vendor's source tree.
type Firmware struct {
	AGC         []byte
	ARB         []byte
	Calibration []byte
	SX1261      []byte // the companion radio's patch, 1544 bytes; nil where there is none
}

// image is a known firmware image: the file in our folder, the file and the
// array of the vendor's tree, the SHA-256 of its bytes, and what it is for.
type image struct {
	File   string
	Source string // below libloragw/src
	Array  string
	SHA256 string
	Runs   string
	Words  bool // elements of 32 bits, most significant byte first, else bytes
}

// size is the length of the image in bytes.
func (m image) size() int {
	if m.Words {
		return sx1261.PatchSize
	}
	return reg.MCUMemorySize
}

// The known-good images are those of Lora-net/sx1302_hal 2.1.0.
var (
	agcSX1250   = image{"agc_fw_sx1250.bin", "agc_fw_sx1250.var", "agc_firmware_sx1250", "8f612e878b946b8c7cc59a5fc27ad33bb18ab92ad6e291d873f5d6bb7daae0d4", "AGC with SX1250 radios", false}
	agcSX125x   = image{"agc_fw_sx1257.bin", "agc_fw_sx1257.var", "agc_firmware_sx125x", "28d05612240627fb9e61ec43eba661e96d24805e1ce62b2d800c8461d400ae66", "AGC with SX1255/57 radios", false}
	arbiter     = image{"arb_fw.bin", "arb_fw.var", "arb_firmware", "a6f542395e29cd258917f5948d1067ab18e3cf08ce5ee250e2caa08539f80fd0", "arbiter", false}
	calibrate   = image{"cal_fw.bin", "cal_fw.var", "cal_firmware_sx125x", "48b381021068a760d53e6366094f51e35084097f272c801ba8b47e7226d68d44", "calibration of SX1255/57 radios", false}
	patchSX1261 = image{"sx1261_pram.bin", "sx1261_pram.var", "pram", "2f1a728415a38298d07b77ebb1b54c9b9cdfe21fd830bf842d79d73f23b99074", "patch of the SX1261: listen before talk, spectral scan", true}
)

func images() []image { return []image{agcSX1250, agcSX125x, arbiter, calibrate, patchSX1261} }

// howToImport ends every message about a missing or wrong image.
const howToImport = "get the vendor's source tree (Lora-net/sx1302_hal, version 2.1.0) and run: gatewayd firmware import PATH-TO-sx1302_hal"

// LoadFirmware reads the images for a type of radio (none given: the SX1250)
// from a folder and checks their length and hash. The error names the file,
// what it is and what to do.
func LoadFirmware(dir string, radios ...RadioType) (f Firmware, err error) {
	kind := SX1250
	if len(radios) > 0 {
		kind = radios[0]
	}
	if f.AGC, err = kind.parameters().firmware.load(dir); err != nil {
		return Firmware{}, err
	}
	if f.ARB, err = arbiter.load(dir); err != nil {
		return Firmware{}, err
	}
	if kind != SX1250 {
		if f.Calibration, err = calibrate.load(dir); err != nil {
			return Firmware{}, err
		}
	}
	if _, err := os.Stat(filepath.Join(dir, patchSX1261.File)); errors.Is(err, fs.ErrNotExist) {
		return f, nil // only boards with that radio need it
	}
	f.SX1261, err = patchSX1261.load(dir)
	return f, err
}

func (m image) load(dir string) ([]byte, error) {
	path := filepath.Join(dir, m.File)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is missing (SHA-256 %s): %s", ErrFirmware, path, m.SHA256, howToImport)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFirmware, err)
	}
	if err := m.check(data); err != nil {
		return nil, fmt.Errorf("%w: %s: %w; %s", ErrFirmware, path, err, howToImport)
	}
	return data, nil
}

func (m image) check(data []byte) error {
	if len(data) != m.size() {
		return fmt.Errorf("has %d bytes, not %d", len(data), m.size())
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(data)); sum != m.SHA256 {
		return fmt.Errorf("has SHA-256 %s, not the known %s", sum, m.SHA256)
	}
	return nil
}

// checkLengths accepts any image of the right length: the hash was checked
// when it was loaded, and the emulated chip takes anything.
func (f Firmware) checkLengths(radios RadioType) error {
	for _, x := range []struct {
		name   string
		data   []byte
		needed bool
	}{{"Firmware.AGC", f.AGC, true}, {"Firmware.ARB", f.ARB, true}, {"Firmware.Calibration", f.Calibration, radios != SX1250}} {
		if x.needed && len(x.data) != reg.MCUMemorySize {
			return configError(x.name, fmt.Sprintf("%d bytes", len(x.data)),
				fmt.Sprintf("%d bytes are wanted; load them with LoadFirmware", reg.MCUMemorySize))
		}
	}
	return nil
}

// EmulatedFirmware returns images that only the emulated chip accepts: they
// run nothing. Their bytes differ from each other and from place to place, so
// that a read-back that mixes something up is found.
func EmulatedFirmware() Firmware {
	fill := func(seed uint32, size int) []byte {
		data := make([]byte, size)
		for i := range data {
			seed = seed*1664525 + 1013904223
			data[i] = byte(seed >> 24)
		}
		return data
	}
	return Firmware{AGC: fill(1, reg.MCUMemorySize), ARB: fill(2, reg.MCUMemorySize), Calibration: fill(3, reg.MCUMemorySize), SX1261: fill(4, sx1261.PatchSize)}
}

// ImportFirmware extracts the images from the vendor's sources into dir, which
// is made if need be, and returns the files that it wrote. Nothing is written
// unless every image is there and has its known hash: else the error wraps
// [ErrFirmware].
func ImportFirmware(from Sources, dir string) ([]string, error) {
	return importImages(images(), from, dir)
}

func importImages(list []image, from Sources, dir string) ([]string, error) {
	data := make([][]byte, len(list))
	for i, m := range list {
		text, err := from(m.Source)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFirmware, err)
		}
		if data[i], err = arrayBytes(text, m.Words); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrFirmware, m.Source, err)
		}
		if err := m.check(data[i]); err != nil {
			return nil, fmt.Errorf("%w: %s: %w; version 2.1.0 is wanted", ErrFirmware, m.Source, err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the images are no secret, a service of another user reads them
		return nil, fmt.Errorf("write the firmware: %w", err)
	}
	var done []string
	for i, m := range list {
		path := filepath.Join(dir, m.File)
		if err := writeWhole(path, data[i]); err != nil {
			return done, fmt.Errorf("write the firmware: %w", err)
		}
		done = append(done, path)
	}
	return done, nil
}

// writeWhole replaces a file so that it is never there in part.
func writeWhole(path string, data []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o644); err != nil { //nolint:gosec // as above
		return err
	}
	return os.Rename(tmp, path)
}

// arrayBytes returns the elements of the first array initialiser in a C
// source: numbers between braces, separated by commas.
func arrayBytes(text []byte, words bool) ([]byte, error) {
	_, body, ok := bytes.Cut(text, []byte("{"))
	if !ok {
		return nil, errors.New("no array found: there is no opening brace")
	}
	body, _, ok = bytes.Cut(body, []byte("}"))
	if !ok {
		return nil, errors.New("the array does not end: there is no closing brace")
	}
	bits := 8
	if words {
		bits = 32
	}
	var out []byte
	for element := range bytes.SplitSeq(body, []byte(",")) {
		element = bytes.TrimSpace(element)
		if len(element) == 0 {
			continue // after the last comma
		}
		v, err := strconv.ParseUint(string(element), 0, bits)
		if err != nil {
			return nil, fmt.Errorf("element at byte %d is no number of %d bits: %q", len(out), bits, truncate(element))
		}
		if words {
			out = binary.BigEndian.AppendUint32(out, uint32(v))
		} else {
			out = append(out, byte(v))
		}
	}
	return out, nil
}

func truncate(b []byte) []byte { return b[:min(len(b), 40)] }
