// Package gui is the page that the daemon serves at /.
//
// Its source is in web: TypeScript, bundled by scripts/gui into dist, which is
// embedded here and not committed. A binary that was built without it serves
// plain.html, which says so and links to the APIs. The page knows nothing but
// the public Data and Management APIs.
package gui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed all:dist
var dist embed.FS

//go:embed plain.html
var plain []byte

// policy keeps the page to itself: no inline script or style sheet, nothing
// from elsewhere, in nobody's frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// file is one served file.
type file struct {
	packed      []byte // gzip
	contentType string
	etag        string
	forever     bool // the name carries a hash
}

// built tells whether a bundle has the page.
func built(bundle fs.FS) bool {
	_, err := fs.Stat(bundle, "dist/index.html.gz")
	return err == nil
}

// Paths are what [Handler] serves, as patterns of [http.ServeMux].
func Paths() []string {
	paths := []string{"/{$}"}
	for path := range files(dist) {
		if path != "/" {
			paths = append(paths, path)
		}
	}
	return paths
}

// Handler serves the page and its files. It doesn't ask who calls: there are
// no secrets in it.
func Handler() http.Handler { return serve(files(dist)) }

func serve(all map[string]file) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := all[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		f.serve(w, r)
	})
}

// files are those of a bundle, by path. Where nothing was built there is the
// plain page alone.
func files(bundle fs.FS) map[string]file {
	if !built(bundle) {
		return map[string]file{"/": newFile("index.html", pack(plain))}
	}
	all := map[string]file{}
	entries, _ := fs.ReadDir(bundle, "dist") // it can be read: see built
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".gz")
		packed, err := fs.ReadFile(bundle, "dist/"+e.Name())
		if !ok || err != nil {
			continue
		}
		if path := "/" + name; path == "/index.html" {
			all["/"] = newFile(name, packed)
		} else {
			all[path] = newFile(name, packed)
		}
	}
	return all
}

func pack(b []byte) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(b) // a buffer takes everything
	_ = z.Close()
	return packed.Bytes()
}

func newFile(name string, packed []byte) file {
	sum := sha256.Sum256(packed)
	return file{packed, mime.TypeByExtension(path.Ext(name)), `"` + hex.EncodeToString(sum[:8]) + `"`, strings.Contains(name, "-")}
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // an address may carry a token
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	if f.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, r.Method+" is not served here; allowed are GET, HEAD", http.StatusMethodNotAllowed)
		return
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(f.packed)
		return
	}
	z, err := gzip.NewReader(bytes.NewReader(f.packed))
	if err != nil {
		http.Error(w, "the page in this binary is damaged: install it again", http.StatusInternalServerError)
		return
	}
	_, _ = io.Copy(w, z) //nolint:gosec // what was built in
}
