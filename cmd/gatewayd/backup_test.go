package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"gatewayd/nsedge/store"
)

const addABP = "0102030405060708 activation=ABP dev_addr=01020304 nwkskey=000102030405060708090a0b0c0d0e0f appskey=000102030405060708090a0b0c0d0e0f"

// addDevice registers a device with the settings.
func addDevice(t *testing.T, config, settings string) {
	t.Helper()
	if code, out, errText := cli(t, append([]string{"device", "add", "-c", config}, strings.Fields(settings)...)...); code != exitOK {
		t.Fatal(out, errText)
	}
}

func TestABackupIsRestoredInAnotherFolder(t *testing.T) {
	whileDaemon(t, func(t *testing.T, config string) {
		addDevice(t, config, addABP)
		key, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		byPhrase, byKey, keyFile := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "key.txt")
		if err := os.WriteFile(keyFile, []byte("# created: today\n"+key.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, errText := cliWith(t, "secret word\n", "backup", byPhrase, "-c", config, "--passphrase-stdin"); code != exitOK {
			t.Fatal(out, errText)
		}
		if code, out, errText := cli(t, "backup", byKey, "-c", config, "--recipient", key.Recipient().String()); code != exitOK {
			t.Fatal(out, errText)
		}
		if found, err := os.ReadDir(dir); err != nil || len(found) != 3 {
			t.Errorf("%v, %v", found, err)
		}
		if i, err := os.Stat(byPhrase); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", i, err)
		}

		other, _ := stateConfig(t)
		code, out, errText := cliWith(t, "secret word", "restore", byPhrase, "-c", other, "--passphrase-stdin", "--check")
		if code != exitOK || !strings.Contains(out, "EU868") || !strings.Contains(out, "1 devices") {
			t.Error(code, out, errText)
		}
		if _, out, _ := cli(t, "device", "list", "-c", other); strings.Contains(out, "0102030405060708") {
			t.Error("a check restored")
		}
		if code, _, errText := cliWith(t, "wrong word", "restore", byPhrase, "-c", other, "--passphrase-stdin"); code != exitFailure || !strings.Contains(errText, "does not open") {
			t.Error(code, errText)
		}
		if code, out, errText := cli(t, "restore", byKey, "-c", other, "--identity", keyFile); code != exitOK || !strings.Contains(out, "restored into") {
			t.Error(code, out, errText)
		}
		if code, out, errText := cli(t, "device", "show", "0102030405060708", "-c", other); code != exitOK || !strings.Contains(out, "8192") {
			t.Error("the downlink counter was not moved on:", code, out, errText)
		}
		// Once there is something to lose, it is not lost by mistake.
		if code, _, errText := cli(t, "restore", byKey, "-c", other, "--identity", keyFile); code != exitFailure || !strings.Contains(errText, "--replace") {
			t.Error(code, errText)
		}
		if code, out, errText := cli(t, "restore", byKey, "-c", other, "--identity", keyFile, "--replace"); code != exitOK {
			t.Error(code, out, errText)
		}
	})
}

func TestARestoreIsRefusedWhereItWouldHarm(t *testing.T) {
	config, _ := stateConfig(t)
	file := filepath.Join(t.TempDir(), "b.age")
	if code, out, errText := cliWith(t, "secret word", "backup", file, "-c", config, "--passphrase-stdin"); code != exitOK {
		t.Fatal(out, errText)
	}
	usa := writeConfig(t, "[region]\nname = \"US915-2\"\n[concentrator]\ndriver = \"emulated\"\n[state]\ndir = \""+t.TempDir()+"\"\n")
	if code, _, errText := cliWith(t, "secret word", "restore", file, "-c", usa, "--passphrase-stdin"); code != exitFailure || !strings.Contains(errText, "EU868") {
		t.Error(code, errText)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.age")
	if err := os.WriteFile(cut, text[:len(text)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	empty, _ := stateConfig(t)
	if code, _, errText := cliWith(t, "secret word", "restore", cut, "-c", empty, "--passphrase-stdin"); code != exitFailure || !strings.Contains(errText, "damaged") {
		t.Error(code, errText)
	}
	stop := serveStateFolder(t, config)
	if code, _, errText := cliWith(t, "secret word", "restore", file, "-c", config, "--passphrase-stdin"); code != exitFailure || !strings.Contains(errText, "stop it first") {
		t.Error(code, errText)
	}
	stop()
	for args, want := range map[string]string{
		"backup x":                   "--passphrase-stdin",
		"backup":                     "FILE",
		"backup x --recipient age1x": "age-keygen",
		"backup x --recipient age1x --passphrase-stdin": "one of",
		"restore x":                           "--identity",
		"restore /nowhere --passphrase-stdin": "nowhere",
		"restore x --identity /nowhere":       "nowhere",
		"restore x --identity " + file:        "age-keygen",
	} {
		if code, _, errText := cliWith(t, "secret word", append(strings.Fields(args), "-c", config)...); code != exitUsage || !strings.Contains(errText, want) {
			t.Errorf("%s: %d %s", args, code, errText)
		}
	}
}

// Over the Management API the daemon goes on; the backup is in use after its
// next start.
func TestARestoreOverTheAPIIsInUseAfterTheNextStart(t *testing.T) {
	from, _ := stateConfig(t)
	addDevice(t, from, addABP)
	file := filepath.Join(t.TempDir(), "b.age")
	if code, out, errText := cliWith(t, "secret word", "backup", file, "-c", from, "--passphrase-stdin"); code != exitOK {
		t.Fatal(out, errText)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config, dir := stateConfig(t)
	cfg, err := loadForTest(config)
	if err != nil {
		t.Fatal(err)
	}
	st, server := openForTest(t, cfg)
	post := func(query, phrase string) (int, string) {
		r := httptest.NewRequest(http.MethodPost, "/api/v1.0/restore"+query, bytes.NewReader(text))
		r.Header.Set("Backup-Passphrase", phrase)
		w := httptest.NewRecorder()
		server.LocalHandler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, body := post("", "wrong word"); code != http.StatusUnprocessableEntity || store.Staged(dir) {
		t.Error(code, body)
	}
	if code, body := post("?check=1", "secret word"); code != http.StatusOK || store.Staged(dir) || !strings.Contains(body, `"devices":1`) {
		t.Error(code, body)
	}
	if code, body := post("", "secret word"); code != http.StatusOK || !strings.Contains(body, "next start") {
		t.Error(code, body)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, out, errText := cli(t, "device", "list", "-c", config); !strings.Contains(out, "0102030405060708") {
		t.Error(out, errText)
	}
	if _, err := os.Stat(filepath.Join(dir, "gatewayd.db.before")); err != nil {
		t.Error(err)
	}
}
