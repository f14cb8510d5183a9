package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cli runs one command line.
func cli(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, streams{strings.NewReader(""), &o, &e})
	return code, o.String(), e.String()
}

// golden compares with testdata/NAME; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it, then go test -run %s -update\ngot:\n%s", path, t.Name(), got)
	}
}

func TestHelpOfEachCommand(t *testing.T) {
	for _, words := range []string{
		"", "demo", "run", "sim",
		"key", "key create", "key list", "key revoke",
		"user", "user add", "user list", "user show", "user set", "user logout", "user password", "user hash", "user remove",
		"tls", "tls fingerprint", "tls ca",
		"lab", "lab run", "lab suite", "lab words", "lab keys",
		"device", "device add", "device set", "device list", "device show", "device remove",
		"firmware", "firmware import", "firmware check",
		"config", "config check", "config print", "version", "backup", "restore", "record", "replay",
		"doctor", "appliance", "appliance status", "appliance update", "appliance reset", "board", "board list", "board show", "board hold",
	} {
		name := "help " + words
		t.Run(name, func(t *testing.T) {
			code, out, err := cli(t, append(strings.Fields(words), "--help")...)
			if code != exitOK || err != "" {
				t.Fatalf("exit code %d, %s", code, err)
			}
			golden(t, strings.ReplaceAll(strings.TrimSpace(name), " ", "-")+".txt", out)
		})
	}
}

func TestUsageErrorsSayWhatIsWantedAndExitWith2(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(bad, []byte("[log]\nlevel = \"loud\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.toml")
	for _, c := range []struct {
		args string
		want []string
	}{
		{"", []string{"a command is wanted", "demo", "run", "version"}},
		{"rum", []string{`unknown command "rum"`, `was "run" meant?`, "gatewayd --help"}},
		{"key", []string{"a command is wanted: create, list, revoke"}},
		{"key crate", []string{`unknown command "crate" for "gatewayd key"`, `"create"`}},
		{"run now", []string{`unexpected argument "now"`, "gatewayd run --help"}},
		{"run --verbose", []string{"unknown flag: --verbose"}},
		{"run -c", []string{"flag needs an argument"}},
		{"run -c " + missing, []string{missing, "no such file", "config print"}},
		{"run -c " + bad, []string{bad + `:2: log.level = "loud": allowed: debug, info, warn, error`}},
		{"config check -c " + bad, []string{bad + ":2: log.level"}},
		{"config print -c " + bad, []string{bad + ":2: log.level"}},
		{"sim", []string{"--spi-socket PATH or --usb-pty is wanted"}},
		{"sim --spi-socket x --model sx1301", []string{`--model "sx1301": allowed are sx1302, sx1303`}},
		{"sim --spi-socket x --eui 12", []string{"--eui", "16 hex digits"}},
		{"demo --devices 1000", []string{`invalid argument "1000"`, "--devices", "allowed are 0 to 100"}},
		{"demo --devices 2xD", []string{`invalid argument "2xD"`, "--devices", "2xA,1.0B,1.1C-abp,C-group"}},
		{"demo --devices x", []string{`invalid argument "x"`, "--devices"}},
		{"demo --for -1s", []string{"--for -1s"}},
		{"demo --region EU869", []string{`--region`, "EU869", "EU868"}},
		{"key revoke", []string{"the key's ID"}},
		{"device show", []string{"DEV_EUI"}},
		{"device set 0011223344556677", []string{"FIELD=VALUE"}},
		{"firmware import", []string{"the vendor's source tree"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, out, err := cli(t, strings.Fields(c.args)...)
			if code != exitUsage {
				t.Errorf("exit code %d, want %d", code, exitUsage)
			}
			if out != "" {
				t.Errorf("standard output %q", out)
			}
			for _, w := range c.want {
				if !strings.Contains(err, w) {
					t.Errorf("%q doesn't say %q", err, w)
				}
			}
		})
	}
}

func TestConfigPrintIsACompleteFileThatCheckAccepts(t *testing.T) {
	code, out, err := cli(t, "config", "print", "-c", writeConfig(t, ""))
	if code != exitOK {
		t.Fatal(err)
	}
	golden(t, "config-print.toml", out)
	path := writeConfig(t, out)
	if code, out, err = cli(t, "config", "check", "-c", path); code != exitOK || !strings.Contains(out, "no faults") {
		t.Errorf("exit code %d: %s%s", code, out, err)
	}
}

func TestVersionNamesProgramCommitAndGo(t *testing.T) {
	code, out, _ := cli(t, "version")
	for _, w := range []string{"gatewayd ", "commit ", "go1."} {
		if code != exitOK || !strings.Contains(out, w) {
			t.Errorf("exit code %d: %q lacks %q", code, out, w)
		}
	}
}

// The vendor's images are not here: what can be tested is that each command
// names the file and the way to it. TestBadStarts has the rest.
func TestFirmwareCommandsSayWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	code, _, text := cli(t, "firmware", "check", "--dir", dir)
	if code != exitFailure || !strings.Contains(text, filepath.Join(dir, "agc_fw_sx1250.bin")) || !strings.Contains(text, "firmware import") {
		t.Errorf("check: exit code %d: %s", code, text)
	}
	code, _, text = cli(t, "firmware", "import", dir, "-c", writeConfig(t, ""))
	if code != exitFailure || !strings.Contains(text, dir) || !strings.Contains(text, "source tree") {
		t.Errorf("import: exit code %d: %s", code, text)
	}
}

// writeConfig writes a configuration file into a folder of its own.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gw.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
