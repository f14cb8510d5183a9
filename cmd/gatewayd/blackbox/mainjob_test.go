package blackbox

import (
	"context"
	"path/filepath"
	"testing"
)

func TestTheMainJobWithAnIndependentDeviceAndApplication(t *testing.T) {
	wanted(t)
	d := newDaemon(t)
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := d.command(t, "key", "create", "-c", d.config, "--name", "blackbox", "--rights", "data,devices")
	rec := play(t, "mainjob.mjs", map[string]string{
		"HTTP":  "http://" + d.http,
		"AIR":   d.air,
		"TOKEN": token,
		"PCAP":  filepath.Join(t.TempDir(), "air.pcap"),
	}, map[string]func(context.Context) error{
		"restart": func(ctx context.Context) error {
			if err := d.kill(); err != nil {
				return err
			}
			return d.start(ctx)
		},
	})
	t.Run("tshark accepts every frame and verifies its MIC", func(t *testing.T) { judge(t, rec) })
	t.Run("a device of LoRaWAN 1.1", func(t *testing.T) {
		play(t, "version11.mjs", map[string]string{"HTTP": "http://" + d.http, "AIR": d.air, "TOKEN": token}, nil)
	})
	t.Run("Ctrl-C ends the daemon with exit code 0", func(t *testing.T) {
		if code, err := d.interrupt(); err != nil || code != 0 {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
}
