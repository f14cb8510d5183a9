package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func signer(t *testing.T, seed byte) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize))))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dialSSH reaches a server that lets key 'a' in and runs the commands of this
// machine instead of gatewayd's.
func dialSSH(t *testing.T, as ssh.Signer) (*ssh.Client, error) {
	t.Helper()
	host := signer(t, 'h')
	keys, err := SSH{Keys: []string{string(ssh.MarshalAuthorizedKey(signer(t, 'a').PublicKey()))}}.parse()
	if err != nil {
		t.Fatal(err)
	}
	s := newSSHServer(keys, host, slog.New(slog.DiscardHandler))
	s.command = func(ctx context.Context, args []string) *exec.Cmd {
		return exec.CommandContext(ctx, args[0], args[1:]...)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); _ = l.Close() })
	go s.serve(ctx, l)
	return ssh.Dial("tcp", l.Addr().String(), &ssh.ClientConfig{
		User: "anybody", Auth: []ssh.AuthMethod{ssh.PublicKeys(as)}, HostKeyCallback: ssh.FixedHostKey(host.PublicKey()),
	})
}

func TestSSHRunsCommandsForThoseWithAKey(t *testing.T) {
	if _, err := dialSSH(t, signer(t, 'b')); err == nil {
		t.Fatal("another key is let in")
	}
	c, err := dialSSH(t, signer(t, 'a'))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, x := range []struct {
		line, in, out, err string
		code               int
	}{
		{line: "echo 'a  b' c\\ d", out: "a  b c d\n"},
		{line: "gatewayd echo hello", out: "hello\n"},
		{line: "cat", in: "piped", out: "piped"},
		{line: "true", in: strings.Repeat("never read ", 1<<16)},
		{line: "sh -c 'echo fault >&2; exit 7'", err: "fault\n", code: 7},
		{line: "echo 'a", err: "the quote ' has no end\n", code: 2},
		{line: "/none", err: "fork/exec /none: no such file or directory\n", code: 1},
	} {
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		session.Stdout, session.Stderr = &out, &errs
		in, err := session.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() { // a command that has ended reads no more
			_, _ = io.WriteString(in, x.in)
			_ = in.Close()
		}()
		code := 0
		if err := session.Run(x.line); err != nil {
			exit, ok := errors.AsType[*ssh.ExitError](err)
			if !ok {
				t.Fatalf("%s: %v", x.line, err)
			}
			code = exit.ExitStatus()
		}
		if out.String() != x.out || errs.String() != x.err || code != x.code {
			t.Errorf("%s: %d %q %q", x.line, code, out.String(), errs.String())
		}
	}
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var says strings.Builder
	session.Stderr = &says
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := session.Wait(); err == nil || !strings.Contains(says.String(), "no shell") {
		t.Errorf("a shell: %v %s", err, says.String())
	}
	if _, err := c.Dial("tcp", "127.0.0.1:80"); err == nil {
		t.Error("connections are forwarded")
	}
}

func TestTheHostKeyStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	first, err := loadHostKey(file)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	again, err := loadHostKey(file)
	if err != nil || ssh.FingerprintSHA256(first.PublicKey()) != ssh.FingerprintSHA256(again.PublicKey()) {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadHostKey(file); err == nil {
		t.Error("a damaged key is taken")
	}
}

// Expected words: what sh makes of the line.
func TestWordsAreSplitAsAShellDoes(t *testing.T) {
	for line, want := range map[string][]string{
		"":                     nil,
		"  a\t b\n":            {"a", "b"},
		`a 'b "c' "d 'e"`:      {"a", `b "c`, "d 'e"},
		`a'b'"c"d`:             {"abcd"},
		`'' ""`:                {"", ""},
		`a\ b '\' "\"" \'`:     {"a b", `\`, `"`, "'"},
		`$HOME *;echo`:         {"$HOME", "*;echo"},
		"set x 'app_key=@a b'": {"set", "x", "app_key=@a b"},
	} {
		if got, err := splitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`'a`, `a "b`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func FuzzSplitWords(f *testing.F) {
	f.Add(`a 'b c' "d" \e`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		if again, err := splitWords(strings.Join(quoted, " ")); err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: %q, quoted %q, %v", line, words, again, err)
		}
	})
}
