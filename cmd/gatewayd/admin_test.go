package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatewayd/dataapi"
)

// lastLine is the last line of a command's output.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return lines[len(lines)-1]
}

// stateConfig is a configuration with a state folder of its own.
func stateConfig(t *testing.T) (path, state string) {
	t.Helper()
	state = filepath.Join(t.TempDir(), "state")
	return writeConfig(t, "[concentrator]\ndriver = \"emulated\"\n[state]\ndir = \""+state+"\"\n"), state
}

// serveStateFolder does what a running daemon does for the commands of its
// machine, without a radio.
func serveStateFolder(t *testing.T, config string) (stop func()) {
	t.Helper()
	cfg, err := loadForTest(config)
	if err != nil {
		t.Fatal(err)
	}
	st, server := openForTest(t, cfg)
	l, err := listenAdmin(cfg.State.Dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serveAdmin(ctx, l, server.LocalHandler()) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := errors.Join(ignoreClosed(l)(), st.Close()); err != nil {
			t.Error(err)
		}
	}
}

// whileDaemon runs f without a daemon and with one.
func whileDaemon(t *testing.T, f func(t *testing.T, config string)) {
	t.Helper()
	t.Run("without a daemon", func(t *testing.T) {
		config, _ := stateConfig(t)
		f(t, config)
	})
	t.Run("with a daemon", func(t *testing.T) {
		config, _ := stateConfig(t)
		defer serveStateFolder(t, config)()
		f(t, config)
	})
}

func TestKeysAreMadeListedAndRevoked(t *testing.T) {
	token := regexp.MustCompile(`^[0-9a-f]{32}$`)
	whileDaemon(t, func(t *testing.T, config string) {
		code, out, errText := cli(t, "key", "create", "-c", config, "--name", "my AS", "--rights", "data,devices")
		if code != exitOK {
			t.Fatal(errText)
		}
		if !token.MatchString(lastLine(out)) {
			t.Errorf("last line %q is no token", lastLine(out))
		}
		code, out, errText = cli(t, "key", "list", "-c", config)
		if code != exitOK || !strings.Contains(out, "data,devices") || !strings.Contains(out, "my AS") {
			t.Errorf("exit code %d: %s%s", code, out, errText)
		}
		id := strings.Fields(lastLine(out))[0]
		if code, _, errText = cli(t, "key", "revoke", "-c", config, id); code != exitOK {
			t.Error(errText)
		}
		if _, out, _ = cli(t, "key", "list", "-c", config); strings.Contains(out, id) {
			t.Errorf("still there: %s", out)
		}
		if code, _, errText = cli(t, "key", "revoke", "-c", config, id); code != exitFailure || errText == "" {
			t.Errorf("revoked twice: exit code %d, %q", code, errText)
		}
	})
}

func TestKeyCreateRefusesUnknownRights(t *testing.T) {
	config, _ := stateConfig(t)
	code, _, errText := cli(t, "key", "create", "-c", config, "--name", "x", "--rights", "data,root")
	if code != exitUsage || !strings.Contains(errText, "root") || !strings.Contains(errText, string(dataapi.RightSecrets)) {
		t.Errorf("exit code %d: %s", code, errText)
	}
	if code, _, errText = cli(t, "key", "create", "-c", config); code != exitUsage || !strings.Contains(errText, "--name") {
		t.Errorf("exit code %d: %s", code, errText)
	}
	if code, _, errText = cli(t, "key", "create", "-c", config, "--name", "x", "--rights", ","); code != exitUsage {
		t.Errorf("exit code %d: %s", code, errText)
	}
}

func TestDevicesAreAddedChangedShownAndRemoved(t *testing.T) {
	const eui = "70b3d57ed0000001"
	whileDaemon(t, func(t *testing.T, config string) {
		run := func(want int, args ...string) string {
			t.Helper()
			code, out, errText := cli(t, append(args, "-c", config)...)
			if code != want {
				t.Fatalf("%v: exit code %d, want %d: %s", args, code, want, errText)
			}
			return out + errText
		}
		run(exitOK, "device", "add", eui, "app_eui=0000000000000001", "app_key=000102030405060708090a0b0c0d0e0f", "tags=cellar, demo")
		if out := run(exitOK, "device", "list"); !strings.Contains(out, eui) || !strings.Contains(out, "cellar,demo") {
			t.Error(out)
		}
		run(exitOK, "device", "set", eui, "tags=roof", "rx1.delay=3")
		var d struct {
			AppKey string `json:"app_key"`
			Tags   []string
			RX1    struct{ Delay int }
		}
		if err := json.Unmarshal([]byte(run(exitOK, "device", "show", eui)), &d); err != nil {
			t.Fatal(err)
		}
		if d.AppKey != "000102030405060708090a0b0c0d0e0f" || len(d.Tags) != 1 || d.Tags[0] != "roof" || d.RX1.Delay != 3 {
			t.Errorf("got %+v", d)
		}
		run(exitFailure, "device", "add", eui, "app_eui=0000000000000001", "app_key=000102030405060708090a0b0c0d0e0f")
		run(exitUsage, "device", "add", "70b3d57ed0000002", "app_key=12")
		run(exitOK, "device", "remove", eui)
		run(exitFailure, "device", "show", eui)
	})
}

func TestDevicesComeFromAFile(t *testing.T) {
	config, _ := stateConfig(t)
	file := filepath.Join(t.TempDir(), "devices.json")
	const key = `"app_eui":"0000000000000001","app_key":"000102030405060708090a0b0c0d0e0f"`
	for _, text := range []string{
		`{"dev_eui":"70b3d57ed0000001",` + key + `}`,
		`[{"dev_eui":"70b3d57ed0000002",` + key + `},{"dev_eui":"70b3d57ed0000003",` + key + `}]`,
		`{"devices":[{"dev_eui":"70b3d57ed0000004",` + key + `}],"total":1}`,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errText := cli(t, "device", "add", "-c", config, "--from", file); code != exitOK {
			t.Fatal(errText)
		}
	}
	_, out, _ := cli(t, "device", "list", "-c", config)
	for _, eui := range []string{"0001", "0002", "0003", "0004"} {
		if !strings.Contains(out, "70b3d57ed000"+eui) {
			t.Errorf("%s is missing in\n%s", eui, out)
		}
	}
	_, out, _ = cli(t, "device", "list", "--json", "-c", config)
	if n := strings.Count(out, `"dev_eui"`); n != 4 {
		t.Errorf("%d devices as JSON:\n%s", n, out)
	}
}

func TestAdminSocketIsForItsOwnerAlone(t *testing.T) {
	config, state := stateConfig(t)
	defer serveStateFolder(t, config)()
	info, err := os.Stat(filepath.Join(state, adminSocket))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestAdminSocketOfAKilledDaemonIsReplaced(t *testing.T) {
	config, state := stateConfig(t)
	serveStateFolder(t, config)()
	l, err := listenAdmin(state)
	if err != nil {
		t.Fatal(err)
	}
	l.(*adminListener).Listener.Close() // as the kernel does for a killed process
	if code, _, errText := cli(t, "key", "list", "-c", config); code != exitOK {
		t.Errorf("a dead socket is no daemon: %s", errText)
	}
	defer serveStateFolder(t, config)()
	if code, _, errText := cli(t, "key", "list", "-c", config); code != exitOK {
		t.Error(errText)
	}
}

func TestAdminSocketMayHaveALongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := listenAdmin(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serveAdmin(ctx, l, http.NotFoundHandler()) }()
	a, err := dialAdmin(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	var r *refused
	if err := a.call(ctx, http.MethodGet, "/keys", nil, nil, nil); !errors.As(err, &r) || r.Status != http.StatusNotFound {
		t.Errorf("got %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What asks the daemon to end is answered all the same.
func TestTheAdminSocketAnswersWhatIsOpenAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	l, err := listenAdmin(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- serveAdmin(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			cancel()
			for { // until nobody is let in any more
				c, err := net.Dial("unix", filepath.Join(dir, adminSocket))
				if err != nil {
					break
				}
				c.Close()
			}
			w.WriteHeader(http.StatusAccepted)
		}))
	}()
	a, err := dialAdmin(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.call(t.Context(), http.MethodPost, "/system/stop", nil, nil, nil); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
