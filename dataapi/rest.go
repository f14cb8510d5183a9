package dataapi

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// apiVersion is the one that is served.
const apiVersion = "v1.0"

// maxBody bounds the bodies of the Management API, bytes.
const maxBody = 1 << 20

// call is one request to the Management API.
type call struct {
	*http.Request
	w     http.ResponseWriter // for headers
	query parameters
	key   *Key
	file  io.ReadCloser // the body without the bound of the others: for imports
}

// reply is what a handler answers; the body of 204 is nil.
type reply struct {
	status int
	body   any
}

// methods are what a resource answers to, by HTTP method.
type methods map[string]func(*call) (reply, error)

// unknownPath also tells clients of another API version which one there is.
func unknownPath(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api/"); ok {
		version, _, _ := strings.Cut(rest, "/")
		if len(version) > 1 && version[0] == 'v' && version[1] >= '0' && version[1] <= '9' && version != apiVersion {
			refuse(w, &problem{http.StatusNotFound, codeUnknownVersion, "", "API version " + shown(version) + " isn't served; use /api/" + apiVersion})
			return
		}
	}
	refuse(w, notFound("there is nothing at %s; the API is under /api/%s", shown(r.URL.Path), apiVersion))
}

// resource serves one path.
func (s *Server) resource(mux *http.ServeMux, path, name string, m methods) {
	allowed := strings.Join(append(sortedKeys(m), http.MethodOptions), ", ")
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // the body is dropped by net/http
		}
		if method == http.MethodOptions {
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		handle, ok := m[method]
		if !ok {
			w.Header().Set("Allow", allowed)
			refuse(w, &problem{http.StatusMethodNotAllowed, codeMethod, "", r.Method + " is not served here; allowed are " + allowed})
			return
		}
		status := s.answer(w, r, name, handle)
		s.metrics.requests.WithLabelValues(r.Method, http.StatusText(status)).Inc()
	})
}

// answer lets the handler answer a request, and says with which status.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, name string, handle func(*call) (reply, error)) int {
	rep, keyID, err := s.dispatch(w, r, name, handle)
	if err != nil {
		p := problemOf(err)
		refuse(w, p)
		s.audit(r, keyID, p)
		s.observe(r, keyID, p.Status)
		if p.Code == codeServerError {
			s.log.Error("management api", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
		}
		return p.Status
	}
	switch body := rep.body.(type) {
	case nil:
		w.WriteHeader(rep.status)
	case events:
		body.serve(w, rep.status)
	case stream:
		body.send(w, rep.status)
	default:
		writeJSON(w, rep.status, rep.body)
	}
	s.auditChange(r, keyID, rep.status)
	s.observe(r, keyID, rep.status)
	return rep.status
}

// dispatch authorises a request and lets the handler answer it. It also tells
// by which key that was.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, name string, handle func(*call) (reply, error)) (rep reply, keyID string, err error) {
	c := &call{Request: r, w: w, query: parseParameters(r.URL.RawQuery), file: r.Body}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if name == public {
		if crossSite(r) && !s.allowedOrigin(r.Header.Get("Origin")) {
			return reply{}, "", errCrossOrigin
		}
		rep, err = handle(c)
		return rep, "", err
	}
	cred, err := s.authenticate(r, c.query)
	if err != nil {
		return reply{}, "", err
	}
	c.key, keyID = cred.key, cred.key.ID
	if err := s.paceKey(cred); err != nil {
		return reply{}, keyID, err
	}
	if cred.cookie && r.Method != http.MethodGet && (crossSite(r) || !sameOrigin(r)) {
		return reply{}, keyID, errCrossOrigin
	}
	if !permitted(c.key, name, r.Method, r.PathValue("id")) {
		return reply{}, keyID, &problem{http.StatusForbidden, codeForbidden, "access_token", "access_token: this key lacks the right to " + action(r.Method) + " " + name}
	}
	rep, err = handle(c)
	return rep, keyID, err
}

func permitted(k *Key, name, method, id string) bool {
	switch {
	case name == "":
		return true
	case id == "" && action(method) == read:
		return k.mayList(name)
	default:
		return k.May(name, action(method), id)
	}
}

func action(method string) string {
	switch method {
	case http.MethodPost:
		return create
	case http.MethodPatch, http.MethodPut:
		return update
	case http.MethodDelete:
		return remove
	}
	return read
}

// always200 is how the unversioned alias answers.
func always200(m methods) methods {
	out := methods{}
	for method, handle := range m {
		out[method] = func(c *call) (reply, error) {
			r, err := handle(c)
			if err == nil && r.body == nil {
				r.body = struct{}{}
			}
			r.status = http.StatusOK
			return r, err
		}
	}
	return out
}

// body reads the JSON object of a request, bare or wrapped in {name: {…}}.
func (c *call) body(name string) (fields, error) {
	text, err := io.ReadAll(c.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fields{}, &problem{http.StatusRequestEntityTooLarge, codeTooLarge, "", "the body is larger than the 1 MiB that is allowed"}
	case err != nil:
		return fields{}, &problem{http.StatusBadRequest, codeBadJSON, "", "the body can't be read: " + err.Error()}
	}
	var f fields
	if err := json.Unmarshal(text, &f.m); err != nil {
		return f, &problem{http.StatusBadRequest, codeBadJSON, "", "the body is not a JSON object: " + reason(err)}
	}
	if inner, ok := f.m[name]; ok && len(f.m) == 1 {
		f.m = nil
		if err := json.Unmarshal(inner, &f.m); err != nil {
			return f, badField(name, "an object is wanted")
		}
	}
	return f, nil
}

// organisations is the API's word for them.
const organisations = "organizations"

// listOrganisations answers with the one that there is.
func (s *Server) listOrganisations(*call) (reply, error) {
	type organisation struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	return reply{http.StatusOK, map[string]any{organisations: []organisation{{s.cfg.Org, s.cfg.Org}}}}, nil
}

// unixOrNull is a time as the Management API shows it: whole seconds.
func unixOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	u := t.Unix()
	return &u
}
