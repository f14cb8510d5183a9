package concentrator

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// source writes an image as a C array, as in the vendor's tree.
func source(data []byte) []byte {
	var b bytes.Buffer
	b.WriteString("static uint8_t x[8192] = { \n")
	for i, v := range data {
		fmt.Fprintf(&b, "0x%02X, ", v)
		if i%16 == 15 {
			b.WriteString("\n")
		}
	}
	b.WriteString(" }; \n")
	return b.Bytes()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestImagesAreImportedFromASourceTree(t *testing.T) {
	data := EmulatedFirmware().AGC
	m := image{"a.bin", "a.var", "a", fmt.Sprintf("%x", sha256.Sum256(data)), "test", false}
	tree, dir := t.TempDir(), filepath.Join(t.TempDir(), "made", "on", "demand")
	write(t, filepath.Join(tree, "libloragw/src/a.var"), source(data))
	done, err := importImages([]image{m}, SourceTree(tree), dir)
	if err != nil || len(done) != 1 {
		t.Fatalf("%v, %v", done, err)
	}
	got, err := m.load(dir)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestABadImageSaysWhichFileAndHowToImport(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "agc_fw_sx1250.bin")
	check := func(what string, says ...string) {
		t.Helper()
		_, err := LoadFirmware(dir, SX1250)
		if !errors.Is(err, ErrFirmware) {
			t.Errorf("%s: %v", what, err)
			return
		}
		for _, s := range append(says, file, "gatewayd firmware import") {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v, want %q", what, err, s)
			}
		}
	}
	check("missing", "is missing", "8f612e878b946b8c")
	write(t, file, make([]byte, 100))
	check("short", "100 bytes, not 8192")
	write(t, file, EmulatedFirmware().AGC)
	check("wrong", "has SHA-256", "8f612e878b946b8c")
}

func TestABadSourceTreeWritesNothing(t *testing.T) {
	data := EmulatedFirmware().AGC
	m := image{"a.bin", "a.var", "a", "0000", "test", false}
	for what, text := range map[string]string{
		"missing": "", "no array": "int x;", "no end": "x = { 1, 2", "not bytes": "x = { 1, 256 }", "words": "x = { one }",
		"short": "x = { 1, 2, }", "hash": string(source(data)),
	} {
		tree, dir := t.TempDir(), filepath.Join(t.TempDir(), "out")
		if text != "" {
			write(t, filepath.Join(tree, "libloragw/src/a.var"), []byte(text))
		}
		if _, err := importImages([]image{m}, SourceTree(tree), dir); !errors.Is(err, ErrFirmware) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the folder was made", what)
		}
	}
	if _, err := ImportFirmware(SourceTree(t.TempDir()), t.TempDir()); !errors.Is(err, ErrFirmware) {
		t.Error(err)
	}
}

func TestKnownImagesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range images() {
		if len(m.SHA256) != 64 || seen[m.SHA256] || seen[m.File] || m.Source == "" || m.Runs == "" {
			t.Errorf("%+v", m)
		}
		seen[m.SHA256], seen[m.File] = true, true
	}
	f := EmulatedFirmware()
	if bytes.Equal(f.AGC, f.ARB) || f.checkLengths(SX1250) != nil {
		t.Error("emulated images")
	}
}

// Every image of the folder counts, also those for other radios.
func TestCheckFindsEachBadImage(t *testing.T) {
	dir := t.TempDir()
	all, err := CheckFirmware(dir)
	if len(all) != len(images()) || !errors.Is(err, ErrFirmware) {
		t.Fatalf("%d images, %v", len(all), err)
	}
	for _, m := range images() {
		if !strings.Contains(err.Error(), filepath.Join(dir, m.File)+" is missing (SHA-256 "+m.SHA256) {
			t.Errorf("%s: %v", m.File, err)
		}
	}
	for bad, m := range images() {
		write(t, filepath.Join(dir, m.File), make([]byte, m.size()))
		all, _ := CheckFirmware(dir)
		for i, f := range all {
			if missing := strings.Contains(f.Err.Error(), "missing"); missing != (i > bad) || !missing && !strings.Contains(f.Err.Error(), "not the known "+f.SHA256) {
				t.Errorf("%s: %v", f.File, f.Err)
			}
		}
	}
}

func FuzzArrayBytes(f *testing.F) {
	f.Add([]byte("x = { 0x01, 2, }"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if b, err := arrayBytes(text, len(text)%2 == 1); err != nil && b != nil {
			t.Errorf("%v and %d bytes", err, len(b))
		}
	})
}
