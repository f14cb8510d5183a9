package gui

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func bundle() fstest.MapFS {
	return fstest.MapFS{
		"dist/.gitignore":       {Data: []byte("*")},
		"dist/index.html.gz":    {Data: pack([]byte("<p>the page</p>"))},
		"dist/main-AB12.js.gz":  {Data: pack([]byte("let a = 1"))},
		"dist/main-CD34.css.gz": {Data: pack([]byte("p {}"))},
	}
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func get(h http.Handler, path string, header ...string) answer {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

func TestThePageIsServedToBrowsersWithAndWithoutGzip(t *testing.T) {
	h := serve(files(bundle()))
	for path, want := range map[string]string{"/": "<p>the page</p>", "/main-AB12.js": "let a = 1", "/main-CD34.css": "p {}"} {
		plain := get(h, path)
		if got := string(plain.body); got != want {
			t.Errorf("%s without gzip: %q, want %q", path, got, want)
		}
		packed := get(h, path, "Accept-Encoding", "gzip, br")
		z, err := gzip.NewReader(bytes.NewReader(packed.body))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if got, err := io.ReadAll(z); string(got) != want || err != nil {
			t.Errorf("%s with gzip: %q, want %q", path, got, want)
		}
	}
	if got := get(h, "/index.html"); got.status != http.StatusNotFound {
		t.Errorf("/index.html: %d, the page has one address", got.status)
	}
	if got := get(h, "/.gitignore"); got.status != http.StatusNotFound {
		t.Errorf("/.gitignore: %d, want 404", got.status)
	}
}

func TestABrowserKeepsWhatCannotChangeAndAsksForTheRest(t *testing.T) {
	h := serve(files(bundle()))
	if got := get(h, "/main-AB12.js").header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("a file with a hash in its name: Cache-Control %q", got)
	}
	page := get(h, "/")
	if got := page.header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("the page: Cache-Control %q", got)
	}
	again := get(h, "/", "If-None-Match", page.header.Get("ETag"))
	if again.status != http.StatusNotModified {
		t.Errorf("the same page again: %d, want 304", again.status)
	}
}

func TestNothingFromElsewhereAndNothingInlineMayRun(t *testing.T) {
	got := get(serve(files(bundle())), "/").header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(got, want) {
			t.Errorf("the policy %q lacks %q", got, want)
		}
	}
	if regexp.MustCompile(`unsafe|https?:|\*`).MatchString(got) {
		t.Errorf("the policy %q allows too much", got)
	}
}

func TestABinaryWithoutThePageSaysSo(t *testing.T) {
	empty := fstest.MapFS{"dist/.gitignore": {Data: []byte("*")}}
	got := get(serve(files(empty)), "/")
	body := string(got.body)
	if got.status != http.StatusOK || !strings.Contains(body, "built without the graphical page") || !strings.Contains(body, "/api/v1.0/data") {
		t.Errorf("status %d, body %s", got.status, body)
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	w := httptest.NewRecorder()
	serve(files(bundle())).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}
