package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatewayd/dataapi"
)

// forwarder is a small global_conf.json in the forwarder's own style.
const forwarder = `{
	"SX130x_conf": {
		"lorawan_public": true, "clksrc": 0, "antenna_gain": 2, /* dBi */
		"radio_0": {"enable": true, "type": "SX1250", "freq": 867500000, "rssi_offset": -215.4,
			"tx_enable": true, "tx_freq_min": 863000000, "tx_freq_max": 870000000,
			"tx_gain_lut": [{"rf_power": 12, "pa_gain": 0, "pwr_idx": 15}]},
		"radio_1": {"enable": true, "type": "SX1250", "freq": 868500000, "rssi_offset": -215.4},
		"chan_multiSF_0": {"enable": true, "radio": 1, "if": -400000},
		"chan_multiSF_1": {"enable": true, "radio": 1, "if": -200000},
		"chan_multiSF_2": {"enable": true, "radio": 1, "if": 0},
		"chan_multiFS_3": {"enable": true, "radio": 0, "if": 0}
	}
}`

// withForwarder writes a configuration that names such a file.
func withForwarder(t *testing.T, text string) (path string) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "global_conf.json")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return writeConfig(t, fmt.Sprintf(`
[concentrator]
driver = "emulated"
sx130x_conf = %q
[air]
listen = "off"
[dataapi]
listen = %q
[state]
dir = %q
`, conf, freeAddress(t), t.TempDir()))
}

func TestAForwardersConfigurationIsTakenAsItIs(t *testing.T) {
	out, stop := background(t, "msg=ready", "run", "-c", withForwarder(t, forwarder))
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"concentrator started", "model=SX1302", "[868100000 868300000 868500000]", "frames=",
		"keys=SX130x_conf.chan_multiFS_3", "[867100000 867300000 867500000 867700000 867900000]",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, out)
		}
	}
}

func TestAForwardersSpectralScanRunsInTheBackground(t *testing.T) {
	const scan = `"sx1261_conf": {"spi_path": "/dev/spidev0.1", "spectral_scan": {"enable": true, "freq_start": 867100000, "nb_chan": 2, "nb_scan": 100, "pace_s": 10}},`
	inBubble(t, setup{conf: strings.Replace(forwarder, `"lorawan_public"`, scan+`"lorawan_public"`, 1)}, func(w *world) {
		var found struct{ Points []dataapi.ScanPoint }
		<-time.After(25 * time.Second) // virtual
		if status := w.ask("GET", "/radio/scan", "", &found); status != http.StatusOK || len(found.Points) != 2 {
			t.Fatalf("%d %+v", status, found)
		}
		for i, p := range found.Points {
			if p.Freq != []float64{867.1, 867.3}[i] || p.Samples != 100 || p.At == 0 || len(p.Levels) != 33 {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestAWrongForwardersConfigurationIsAUsageError(t *testing.T) {
	var out bytes.Buffer
	path := withForwarder(t, strings.Replace(forwarder, `"clksrc": 0`, `"clksrc": 7`, 1))
	code := execute(t.Context(), []string{"run", "-c", path}, streams{strings.NewReader(""), &out, &out})
	if code != exitUsage || !strings.Contains(out.String(), "SX130x_conf.clksrc: 7 is not allowed: 0 to 1") {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
}
