package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cliWith runs one command line with something on standard input.
func cliWith(t *testing.T, input string, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, streams{strings.NewReader(input), &o, &e})
	return code, o.String(), e.String()
}

func TestUsersAreAddedListedAndRemoved(t *testing.T) {
	whileDaemon(t, func(t *testing.T, config string) {
		const secret = "correct horse"
		code, out, errText := cliWith(t, secret+"\n", "user", "add", "-c", config, "--email", "Ann@example.org", "--name", "Ann", "--password-stdin")
		if code != exitOK || strings.Contains(out+errText, secret) {
			t.Fatal(code, out, errText)
		}
		signIn := func(password string) error {
			cfg, err := loadForTest(config)
			if err != nil {
				t.Fatal(err)
			}
			a, err := openAPI(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = a.close() }()
			return a.call(t.Context(), http.MethodPost, "/auth", nil, map[string]any{"email": "ann@example.org", "password": password}, nil)
		}
		if err := signIn(secret); err != nil {
			t.Error(err)
		}
		if code, out, errText = cli(t, "user", "list", "-c", config); code != exitOK || !strings.Contains(out, "ann@example.org  Ann") {
			t.Error(code, out, errText)
		}
		if code, _, errText = cliWith(t, "another word", "user", "password", "ann@example.org", "-c", config, "--password-stdin"); code != exitOK {
			t.Error(errText)
		}
		if err := signIn(secret); err == nil {
			t.Error("the old password is still good")
		}
		if err := signIn("another word"); err != nil {
			t.Error(err)
		}
		code, hash, errText := cliWith(t, "third word\n", "user", "hash")
		if code != exitOK || !strings.HasPrefix(hash, "$argon2id$") {
			t.Fatal(code, hash, errText)
		}
		if code, out, errText = cliWith(t, hash, "user", "password", "ann@example.org", "-c", config, "--hash-stdin"); code != exitOK || strings.Contains(out+errText, "argon") {
			t.Error(out, errText)
		}
		if err := signIn("third word"); err != nil {
			t.Error(err)
		}
		for _, input := range []string{"", "short"} {
			if code, _, errText = cliWith(t, input, "user", "hash"); code != exitUsage {
				t.Error(code, errText)
			}
		}
		if code, _, errText = cliWith(t, "12345678", "user", "password", "ann@example.org", "-c", config, "--hash-stdin", "--password-stdin"); code != exitUsage {
			t.Error(code, errText)
		}
		if code, _, errText = cliWith(t, "short", "user", "add", "-c", config, "--email", "b@example.org", "--password-stdin"); code != exitUsage || !strings.Contains(errText, "password") {
			t.Error(code, errText)
		}
		if code, _, errText = cliWith(t, "12345678", "user", "add", "-c", config, "--email", "ann@example.org", "--password-stdin"); code != exitFailure || !strings.Contains(errText, "existing") {
			t.Error(code, errText)
		}
		if code, _, errText = cli(t, "user", "remove", "ann@example.org", "-c", config); code != exitOK {
			t.Error(errText)
		}
		if code, _, errText = cli(t, "user", "remove", "ann@example.org", "-c", config); code != exitFailure || !strings.Contains(errText, "not found") {
			t.Error(code, errText)
		}
	})
}

func TestUsersAreShownChangedAndSignedOut(t *testing.T) {
	whileDaemon(t, func(t *testing.T, config string) {
		if code, _, errText := cliWith(t, "correct horse", "user", "add", "-c", config, "--email", "ann@example.org", "--password-stdin"); code != exitOK {
			t.Fatal(errText)
		}
		file := filepath.Join(t.TempDir(), "permissions.json")
		if err := os.WriteFile(file, []byte(`{"devices":{"*":["read"]}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errText := cli(t, "user", "set", "ann@example.org", "-c", config, "--name", "Ann B.", "--permissions", "@"+file); code != exitOK {
			t.Error(errText)
		}
		_, out, _ := cli(t, "user", "show", "ann@example.org", "-c", config)
		var shown struct {
			Name        string
			Permissions map[string]map[string][]string
		}
		if err := json.Unmarshal([]byte(out), &shown); err != nil || shown.Name != "Ann B." || len(shown.Permissions) != 1 || strings.Contains(out, "argon2") {
			t.Errorf("%v: %s", err, out)
		}
		if code, out, errText := cli(t, "user", "logout", "ann@example.org", "-c", config); code != exitOK || !strings.Contains(out, "signed out") {
			t.Error(errText)
		}
		for _, bad := range [][]string{{}, {"--permissions", "x"}, {"--permissions", "@/none"}, {"--email", "no address"}, {"--permissions", `{"devices":7}`}} {
			if code, _, errText := cli(t, append([]string{"user", "set", "ann@example.org", "-c", config}, bad...)...); code == exitOK || errText == "" {
				t.Errorf("%v: exit code %d, %s", bad, code, errText)
			}
		}
	})
}

func TestAKeyIsConfinedOnTheCommandLine(t *testing.T) {
	config, _ := stateConfig(t)
	if code, _, errText := cli(t, "key", "create", "-c", config, "--name", "js", "--scope", "types=join_request", "--scope", "tags=a,b"); code != exitOK {
		t.Fatal(errText)
	}
	for _, bad := range []string{"types", "colours=red", "types=uplinks"} {
		if code, _, errText := cli(t, "key", "create", "-c", config, "--name", "js", "--scope", bad); code != exitUsage || !strings.Contains(errText, "scope") {
			t.Errorf("%s: exit code %d, %s", bad, code, errText)
		}
	}
}

func TestAPasswordIsReadFromStandardInputOnly(t *testing.T) {
	config, _ := stateConfig(t)
	for args, want := range map[string]string{ //nolint:gosec // command lines
		"user add --password-stdin":                   "--email is wanted",
		"user add --email a@example.org":              "--password-stdin or --hash-stdin is wanted",
		"user add --email a@b.org --password-stdin":   "standard input is empty",
		"user password a@b.org":                       "--password-stdin or --hash-stdin is wanted",
		"user password":                               "email",
		"user add --email a@b.org --password secret1": "unknown flag",
	} {
		if code, _, errText := cli(t, append(strings.Fields(args), "-c", config)...); code != exitUsage || !strings.Contains(errText, want) {
			t.Errorf("%s: %d %s", args, code, errText)
		}
	}
}
