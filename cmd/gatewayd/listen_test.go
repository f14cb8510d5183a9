package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A socket that a killed program left behind is replaced; anything else that
// is in the way is not.
func TestListenReplacesOnlyDeadSockets(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	live, err := listen("--air", "unix:"+dead)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if _, err := listen("--air", "unix:"+dead); err == nil || !strings.Contains(err.Error(), "another program listens there") {
		t.Errorf("a socket in use: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen("--air", "unix:"+file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file is gone: %q, %v", text, err)
	}
	if _, err := listen("--air", "unix:"+filepath.Join(dir, "none", "x.sock")); err == nil || !strings.Contains(err.Error(), "--air") {
		t.Errorf("no folder: %v", err)
	}
}
