package concentrator

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// Sources reads one of the vendor's sources by its name, such as arb_fw.var.
type Sources func(name string) ([]byte, error)

// SourceTree is the vendor's source tree, as it is unpacked.
func SourceTree(tree string) Sources {
	return func(name string) ([]byte, error) {
		text, err := os.ReadFile(filepath.Join(tree, "libloragw", "src", name))
		if err != nil {
			return nil, fmt.Errorf("%s is no source tree of the vendor's library: %w", tree, err)
		}
		return text, nil
	}
}

// Bounds of an archive; the vendor's release has 1 MB.
const (
	maxArchive = 32 << 20
	maxSource  = 1 << 20
	maxEntries = 10_000
)

// SourceArchive is the vendor's source tree as it is downloaded: a .tar.gz or
// a .zip file, of at most 32 MiB. The error wraps [ErrFirmware].
func SourceArchive(r io.Reader) (Sources, error) {
	packed, err := io.ReadAll(io.LimitReader(r, maxArchive+1))
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	var found map[string][]byte
	switch {
	case len(packed) > maxArchive:
		err = fmt.Errorf("it is larger than %d MiB", maxArchive>>20)
	case bytes.HasPrefix(packed, []byte("PK")):
		found, err = unzip(packed)
	default:
		found, err = untar(packed)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: this is no archive of the vendor's sources: %w", ErrFirmware, err)
	}
	return func(name string) ([]byte, error) {
		if text, ok := found[name]; ok {
			return text, nil
		}
		return nil, fmt.Errorf("the archive has no libloragw/src/%s: %w", name, fs.ErrNotExist)
	}, nil
}

// isSource tells whether an entry of an archive is one of the sources.
func isSource(entry string) bool {
	dir, name := path.Split(path.Clean(entry))
	return path.Base(dir) == "src" && path.Base(path.Dir(path.Clean(dir))) == "libloragw" &&
		slices.ContainsFunc(images(), func(m image) bool { return m.Source == name })
}

func untar(packed []byte) (map[string][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("a .tar.gz or .zip file is wanted: %w", err)
	}
	found := map[string][]byte{}
	t := tar.NewReader(io.LimitReader(z, 8*maxArchive))
	for range maxEntries {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg || !isSource(h.Name) {
			continue
		}
		if found[path.Base(h.Name)], err = readSource(t); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return nil, fmt.Errorf("it has more than %d entries", maxEntries)
}

func unzip(packed []byte) (map[string][]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return nil, err
	}
	found := map[string][]byte{}
	for _, f := range z.File {
		if !isSource(f.Name) {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		text, err := readSource(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		found[path.Base(f.Name)] = text
	}
	return found, nil
}

func readSource(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSource+1))
	if err == nil && len(text) > maxSource {
		err = fmt.Errorf("it is larger than %d KiB", maxSource>>10)
	}
	return text, err
}
