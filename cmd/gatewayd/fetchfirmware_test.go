package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// release is a vendor's release in small: an archive with one folder.
func release(t *testing.T, folder string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	text := "const uint8_t agc_firmware[8192] = {"
	for _, h := range []*tar.Header{
		{Name: folder, Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: folder + "/src", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: folder + "/src/arb_fw.var", Mode: 0o644, Size: int64(len(text))},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The script finds the tree in what it downloads, unpacks or is pointed at,
// and hands it on with the flags; gatewayd itself judges the images.
func TestFetchFirmwareHandsTheTreeOn(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	dir := t.TempDir()
	fake := filepath.Join(dir, "gatewayd")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n[ -e \"$3/libloragw/src/arb_fw.var\" ] || exit 1\necho import \"$1 $2\" $4 $5\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	good := release(t, "sx1302_hal-2.1.0/libloragw")
	files := map[string][]byte{"/good.tar.gz": good, "/other.tar.gz": release(t, "something/else")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b, ok := files[r.URL.Path]; ok {
			_, _ = w.Write(b) // curl reads it
			return
		}
		http.NotFound(w, r)
	}))
	defer server.Close()
	local := filepath.Join(dir, "local.tar.gz")
	tree := filepath.Join(dir, "tree")
	if err := os.WriteFile(local, good, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(tree, "libloragw", "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "libloragw", "src", "arb_fw.var"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		server.URL + "/good.tar.gz":  "import firmware import --dir /x",
		local:                        "import firmware import --dir /x",
		tree:                         "import firmware import --dir /x",
		server.URL + "/other.tar.gz": "holds no source tree",
		server.URL + "/none.tar.gz":  "the download failed",
		filepath.Join(dir, "none"):   "no such file or folder",
	} {
		cmd := exec.Command("../../scripts/fetch-firmware", source, "--dir", "/x")
		cmd.Env = append(os.Environ(), "GATEWAYD="+fake, "no_proxy=127.0.0.1")
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) || (err == nil) != strings.HasPrefix(want, "import") {
			t.Errorf("%s: %v: %s, want %q", source, err, out, want)
		}
	}
}
