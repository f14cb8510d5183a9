package gui

import (
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

func get(t *testing.T, h http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func read(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestThePageIsServedToBrowsersWithAndWithoutGzip(t *testing.T) {
	h := serve(files(bundle()))
	for path, want := range map[string]string{"/": "<p>the page</p>", "/main-AB12.js": "let a = 1", "/main-CD34.css": "p {}"} {
		plain := get(t, h, path)
		if got := read(t, plain.Body); got != want {
			t.Errorf("%s without gzip: %q, want %q", path, got, want)
		}
		packed := get(t, h, path, "Accept-Encoding", "gzip, br")
		z, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if got := read(t, z); got != want {
			t.Errorf("%s with gzip: %q, want %q", path, got, want)
		}
	}
	if got := get(t, h, "/index.html"); got.StatusCode != http.StatusNotFound {
		t.Errorf("/index.html: %d, the page has one address", got.StatusCode)
	}
	if got := get(t, h, "/.gitignore"); got.StatusCode != http.StatusNotFound {
		t.Errorf("/.gitignore: %d, want 404", got.StatusCode)
	}
}

func TestABrowserKeepsWhatCannotChangeAndAsksForTheRest(t *testing.T) {
	h := serve(files(bundle()))
	if got := get(t, h, "/main-AB12.js").Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("a file with a hash in its name: Cache-Control %q", got)
	}
	page := get(t, h, "/")
	if got := page.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("the page: Cache-Control %q", got)
	}
	again := get(t, h, "/", "If-None-Match", page.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("the same page again: %d, want 304", again.StatusCode)
	}
}

func TestNothingFromElsewhereAndNothingInlineMayRun(t *testing.T) {
	got := get(t, serve(files(bundle())), "/").Header.Get("Content-Security-Policy")
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
	got := get(t, serve(files(empty)), "/")
	body := read(t, got.Body)
	if got.StatusCode != http.StatusOK || !strings.Contains(body, "built without the graphical page") || !strings.Contains(body, "/api/v1.0/data") {
		t.Errorf("status %d, body %s", got.StatusCode, body)
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	w := httptest.NewRecorder()
	serve(files(bundle())).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}
