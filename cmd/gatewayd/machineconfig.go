package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gatewayd/board"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
	"gatewayd/nsedge/region"
)

// Config implements dataapi.Machine: what is in the file now, which counts from
// the next start on.
func (m *machine) Config() dataapi.Configuration {
	c := dataapi.Configuration{Path: m.parts.file, Writable: m.whyNotWritable(), Keys: []dataapi.ConfigKey{}}
	cfg := m.cfg
	if now, err := config.Load(m.parts.file); err == nil {
		cfg = now
	}
	choices := map[string][]string{"region.name": regionChoices(), "concentrator.board": board.Names(), "concentrator.driver": {config.DriverSX1302, config.DriverEmulated}}
	for _, v := range cfg.Values() {
		c.Keys = append(c.Keys, dataapi.ConfigKey{Key: v.Key, Value: v.Value, Default: v.Default, Meaning: v.Meaning, Choices: append([]string{}, choices[v.Key]...)})
	}
	return c
}

// regionChoices are the regions by their short names, with each group of
// channels where there are several.
func regionChoices() []string {
	var names []string
	for _, long := range region.Names() {
		r, err := region.Lookup(long)
		if err != nil || slices.Contains(names, r.Short()) {
			continue // it was a group of another
		}
		names = append(names, r.Short())
		base, ok := strings.CutSuffix(r.Short(), "-1")
		for n := 2; ok; n++ {
			if _, err := region.Lookup(fmt.Sprintf("%s-%d", base, n)); err != nil {
				break
			}
			names = append(names, fmt.Sprintf("%s-%d", base, n))
		}
	}
	return names
}

// whyNotWritable says why the file can't be changed; "" if it can.
func (m *machine) whyNotWritable() string {
	switch dir := filepath.Dir(m.parts.file); {
	case m.parts.file == "":
		return "there is no configuration file: this gatewayd was started without one"
	case unix.Access(dir, unix.W_OK) != nil:
		return "the daemon may not write to " + dir + ": edit " + m.parts.file + " on the gateway"
	}
	return ""
}

// SetConfig implements dataapi.Machine.
func (m *machine) SetConfig(changes map[string]json.RawMessage) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	old, err := os.ReadFile(m.parts.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("configuration: %w", err)
	}
	text, err := config.Edit(old, changes)
	if err == nil {
		_, err = config.Parse(m.parts.file, text)
	}
	if faults := (config.Faults)(nil); errors.As(err, &faults) && len(faults) > 0 {
		f := faults[0]
		f.File, f.Line = "", 0
		return &dataapi.ConfigFault{Key: f.Key, Message: f.Key + ": " + f.Value + ": " + f.Problem}
	}
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return replaceFile(m.parts.file, text)
}

// replaceFile leaves the old file or the new one, whatever happens, with the
// old one's mode.
func replaceFile(path string, text []byte) error {
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".gatewayd-*")
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone if all went well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}
