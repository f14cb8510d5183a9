package concentrator

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"testing"
)

// tarball and zipball are archives of files, as sites offer a release.
func tarball(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipball(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSourcesAreFoundInTheVendorsArchive(t *testing.T) {
	files := map[string]string{
		"sx1302_hal-2.1.0/libloragw/src/arb_fw.var":  "the arbiter",
		"sx1302_hal-2.1.0/libloragw/src/other.c":     "not asked for",
		"sx1302_hal-2.1.0/elsewhere/src/cal_fw.var":  "not in libloragw",
		"sx1302_hal-2.1.0/libloragw/agc_fw_sx1250.c": "not in src",
	}
	for kind, archive := range map[string][]byte{"tar.gz": tarball(t, files), "zip": zipball(t, files)} {
		from, err := SourceArchive(bytes.NewReader(archive))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if text, err := from("arb_fw.var"); string(text) != "the arbiter" || err != nil {
			t.Errorf("%s: %q, %v", kind, text, err)
		}
		for _, name := range []string{"other.c", "cal_fw.var", "agc_fw_sx1250.var"} {
			if text, err := from(name); err == nil {
				t.Errorf("%s has %s: %q", kind, name, text)
			}
		}
		// Its images are not the known ones: nothing is written.
		if _, err := ImportFirmware(from, t.TempDir()); !errors.Is(err, ErrFirmware) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestBadArchivesAreRefused(t *testing.T) {
	huge := map[string]string{"hal/libloragw/src/arb_fw.var": string(make([]byte, maxSource+1))}
	good := tarball(t, map[string]string{"hal/libloragw/src/arb_fw.var": "x"})
	for what, archive := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "a damaged zip": []byte("PK\x03\x04…"), "a cut tar.gz": good[:len(good)/2],
		"a large source": tarball(t, huge), "a large source, zip": zipball(t, huge), "too large": make([]byte, maxArchive+1),
	} {
		if _, err := SourceArchive(bytes.NewReader(archive)); !errors.Is(err, ErrFirmware) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzSourceArchive(f *testing.F) {
	files := map[string]string{"hal/libloragw/src/arb_fw.var": "x"}
	f.Add(tarball(f, files))
	f.Add(zipball(f, files))
	f.Fuzz(func(t *testing.T, archive []byte) {
		from, err := SourceArchive(bytes.NewReader(archive))
		if err != nil {
			return
		}
		if text, err := from("arb_fw.var"); err == nil && len(text) > maxSource {
			t.Errorf("%d bytes", len(text))
		}
	})
}
