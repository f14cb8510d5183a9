// Package halconf reads the configuration files that people have: the
// global_conf.json of Semtech's packet forwarder. Its SX130x_conf object
// becomes a [concentrator.Config]; the rest of the file concerns servers and
// is not looked at. Comments (/* */ and //) and trailing commas are allowed.
//
// The object's keys are documented by the forwarder's own sample files.
package halconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/tailscale/hujson"

	"gatewayd/concentrator"
	"gatewayd/radio"
)

// maxSize bounds a configuration file, bytes; samples have 12 000.
const maxSize = 1 << 20

// Conf is what such a file says.
type Conf struct {
	// Concentrator lacks what no file can say: firmware, reset line, log.
	Concentrator concentrator.Config
	// Port is how the concentrator is reached: a device node, "usb:" and a
	// device node, or "" if the file doesn't say.
	Port        string
	SX1261Port  string // device node of the companion radio, "" if it has nothing to do
	AntennaGain radio.DB
	// Ignored are keys that were not understood, for a warning.
	Ignored []string
}

// Load reads and converts a file. Errors name the file, the key, its value
// and what is allowed.
func Load(path string) (Conf, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Conf{}, err
	}
	if info.Size() > maxSize {
		return Conf{}, fmt.Errorf("%s: %d bytes are no configuration file: at most %d", path, info.Size(), maxSize)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Conf{}, err
	}
	c, err := Parse(text)
	if err != nil {
		return Conf{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse converts the text of a file, or of an SX130x_conf object alone.
func Parse(text []byte) (Conf, error) {
	plain, err := hujson.Standardize(text)
	if err != nil {
		return Conf{}, err
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(plain, &file); err != nil {
		return Conf{}, fmt.Errorf("a JSON object is wanted: %w", err)
	}
	root := "SX130x_conf"
	if object, ok := file[root]; ok {
		file = nil
		if err := json.Unmarshal(object, &file); err != nil {
			return Conf{}, fmt.Errorf("%s: a JSON object is wanted: %w", root, err)
		}
	} else if _, ok := file["radio_0"]; !ok {
		return Conf{}, errors.New("no SX130x_conf object: the configuration of an SX1302 packet forwarder is wanted (SX1301_conf is of another chip)")
	}
	r := &reader{path: root, keys: file}
	c := convert(r)
	if r.err() != nil {
		return Conf{}, r.err()
	}
	c.Ignored = r.unused()
	return c, nil
}
