package dataapi

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"gatewayd/dataapi/apidoc"
)

// contract is the OpenAPI document, ready to hold responses against.
type contract struct {
	mux       *http.ServeMux // pattern -> nothing: it only finds the path
	responses map[string]map[string]described
}

// described is a response as the document has it: a schema per media type, nil
// for one without.
type described map[string]*jsonschema.Schema

var theContract = sync.OnceValues(readContract)

func readContract() (*contract, error) {
	doc, err := apidoc.OpenAPI()
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", doc); err != nil {
		return nil, err
	}
	c := &contract{http.NewServeMux(), map[string]map[string]described{}}
	for _, op := range apidoc.Operations(doc) {
		name := strings.ToUpper(op.Method) + " " + op.Path
		c.mux.HandleFunc(name, func(http.ResponseWriter, *http.Request) {})
		c.responses[name] = map[string]described{}
		for status := range op.Object["responses"].(apidoc.Object) {
			at := "/paths/" + pointer(op.Path) + "/" + op.Method + "/responses/" + status
			if c.responses[name][status], err = describe(doc, compiler, at); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", name, status, err)
			}
		}
	}
	return c, nil
}

func pointer(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1") }

// resolve finds what a pointer points to, through references.
func resolve(doc apidoc.Object, at string) (apidoc.Object, string) {
	var o any = doc
	for step := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		m, _ := o.(apidoc.Object)
		o = m[strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")]
	}
	m, _ := o.(apidoc.Object)
	if to, ok := m["$ref"].(string); ok {
		return resolve(doc, strings.TrimPrefix(to, "#"))
	}
	return m, at
}

func describe(doc apidoc.Object, compiler *jsonschema.Compiler, at string) (described, error) {
	response, at := resolve(doc, at)
	content, _ := response["content"].(apidoc.Object)
	d := described{}
	for kind, media := range content {
		d[kind] = nil
		if _, ok := media.(apidoc.Object)["schema"]; !ok {
			continue
		}
		// The library unescapes a fragment as a URL does.
		fragment := strings.NewReplacer("{", "%7B", "}", "%7D").Replace(at + "/content/" + pointer(kind) + "/schema")
		compiled, err := compiler.Compile("openapi.json#" + fragment)
		if err != nil {
			return nil, err
		}
		d[kind] = compiled
	}
	return d, nil
}

// check says what is wrong with a response by the contract.
func (c *contract) check(r *http.Request, status int, header http.Header, body []byte) error {
	path, alias := strings.CutPrefix(r.URL.Path, "/api/devices")
	if !alias {
		path, alias = strings.CutPrefix(r.URL.Path, "/devices")
	}
	r = r.Clone(r.Context())
	if alias {
		r.URL.Path = devicesPath + path
	}
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet
	}
	_, name := c.mux.Handler(r)
	responses, ok := c.responses[name]
	if !ok {
		if status < 400 && status != http.StatusNoContent && r.URL.Path != "/" {
			return fmt.Errorf("%s %s answers %d, but stands in no document", r.Method, r.URL.Path, status)
		}
		return nil
	}
	want, ok := responses[strconv.Itoa(status)]
	if !ok && alias && status == http.StatusOK {
		return nil
	}
	if !ok && status >= 400 {
		want, ok = responses["default"]
	}
	if !ok {
		return fmt.Errorf("%s answers %d, which is not documented", name, status)
	}
	if len(body) == 0 {
		return nil
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	compiled, ok := want[kind]
	if !ok {
		return fmt.Errorf("%s answers %d with %s, which is not documented", name, status, kind)
	}
	if compiled == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %s: %w", name, body, err)
	}
	if err := compiled.Validate(value); err != nil {
		return fmt.Errorf("%s %d: %s\n%w", name, status, body, err)
	}
	return nil
}

// checked serves the same as a handler, and holds each answer against the
// contract.
func checked(t testing.TB, h http.Handler) http.Handler {
	t.Helper()
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/data") {
			h.ServeHTTP(w, r)
			return
		}
		rec := &recorded{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(rec, r)
		if err := c.check(r, rec.status, w.Header(), rec.body.Bytes()); err != nil {
			t.Error(err)
		}
	})
}

type recorded struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorded) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }
func (r *recorded) Write(b []byte) (int, error) {
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}
func (r *recorded) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// beside are paths that the server has outside its table.
var beside = []string{"POST /http2/cb/{id}", "GET " + root + "/data", "GET " + root + "/lab/radio", "GET /healthz", "GET /readyz", "GET /metrics"}

func TestEachRouteIsDescribedWithItsRight(t *testing.T) {
	doc, err := apidoc.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	rights := map[string]string{}
	for _, r := range s.table() {
		for method := range r.methods {
			rights[method+" "+root+r.path] = r.name
		}
	}
	for _, op := range apidoc.Operations(doc) {
		name := strings.ToUpper(op.Method) + " " + op.Path
		right, ok := rights[name]
		delete(rights, name)
		if !ok {
			if !slices.Contains(beside, name) {
				t.Errorf("%s is described, but not served", name)
			}
			continue
		}
		described, _ := op.Object["x-right"].(string)
		if _, open := op.Object["security"]; open {
			described = public
		}
		if described == "data" {
			described = "" // these ask as the Data API does
		}
		if described != right {
			t.Errorf("%s takes the right %q, but is described with %q", name, right, described)
		}
	}
	for name := range rights {
		t.Errorf("%s is served, but not described: add it to dataapi/apidoc/openapi", name)
	}
}

func TestTheDocumentsAreServed(t *testing.T) {
	r := start(t, Config{})
	status, doc := r.rest("GET", root+"/openapi.json", "", "Authorization", "")
	if status != http.StatusOK || doc["openapi"] != "3.1.0" {
		t.Errorf("%d %v", status, doc["openapi"])
	}
	status, doc = r.rest("GET", root+"/asyncapi.json", "", "Authorization", "")
	if status != http.StatusOK || doc["asyncapi"] != "3.0.0" {
		t.Errorf("%d %v", status, doc["asyncapi"])
	}
}

// A response that the document doesn't have is found.
func TestTheContractIsNotEmpty(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, devicesPath+"/0102030405060708", nil)
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	for _, bad := range []struct {
		status int
		body   string
	}{{200, `{"device":{}}`}, {200, `{"device":{},"more":1}`}, {201, `{}`}, {200, `no json`}, {404, `{"message":"x"}`}} {
		if c.check(r, bad.status, header, []byte(bad.body)) == nil {
			t.Errorf("%v passes", bad)
		}
	}
	if err := c.check(r, 404, header, []byte(`{"code":"not_found","message":"x"}`)); err != nil {
		t.Error(err)
	}
}

func TestTheAuthorityIsServed(t *testing.T) {
	var info *TLSInfo
	r := start(t, Config{TLS: func() *TLSInfo { return info }})
	if status, body := r.rest("GET", root+"/tls", "", "Authorization", ""); status != http.StatusOK || body["tls"] != nil {
		t.Errorf("%d %v", status, body)
	}
	if status, _ := r.rest("GET", root+"/tls/ca.pem", "", "Authorization", ""); status != http.StatusNotFound {
		t.Errorf("without TLS: %d", status)
	}
	info = &TLSInfo{Mode: "self", Fingerprint: "AA:BB", Names: []string{"gw.local"}, NotAfter: 1, CA: []byte("-----BEGIN")}
	if _, body := r.rest("GET", root+"/tls", "", "Authorization", ""); body["tls"].(map[string]any)["fingerprint"] != "AA:BB" {
		t.Errorf("%v", body)
	}
	if status, body := r.rest("GET", root+"/tls/ca.pem", "", "Authorization", ""); status != http.StatusOK || body["text"] != "-----BEGIN" {
		t.Errorf("%d %v", status, body)
	}
}
