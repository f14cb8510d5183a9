package dataapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatewayd/nsedge"
)

// Stable identifiers of what is wrong with a request or a message. Codes of
// refusals by the edge are nsedge's.
const (
	codeMissingToken    = "missing_token"
	codeUnknownToken    = "unknown_token"
	codeForbidden       = "forbidden"
	codeCrossOrigin     = "cross_origin"
	codeBadParameter    = "bad_parameter"
	codeUnknownVersion  = "unknown_version"
	codeNotFound        = "not_found"
	codeMethod          = "method_not_allowed"
	codeUpgrade         = "upgrade_required"
	codeTooMany         = "too_many_connections"
	codeStopping        = "stopping"
	codeNotReady        = "not_ready"
	codeTooLarge        = "too_large"
	codeBadJSON         = "bad_json"
	codeBadField        = "bad_field"
	codeMissingField    = "missing_field"
	codeUnknownType     = "unknown_type"
	codeBinaryFrame     = "binary_frame"
	codeUnknownNetwork  = "unknown_network"
	codeDuplicateDevice = "device_exists"
	codeUserExists      = "user_exists"
	codeBadSignIn       = "bad_sign_in"
	codeSetUp           = "already_set_up"
	codeBadSetup        = "bad_setup_code"
	codeRateLimited     = "rate_limited"
	codeInUse           = "in_use"
	codeServerError     = "server_error"
	codeHistoryEnd      = "history_end" // of an info
)

// problem is what a client did wrong, or what went wrong here. Field names
// the parameter or the JSON path, "" if there is none. Status counts over
// HTTP only.
type problem struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string { return p.Code + ": " + p.Message }

// badField says that a field or parameter has a wrong value. The message
// starts with the field's name.
func badField(field, format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, codeBadField, field, field + ": " + fmt.Sprintf(format, args...)}
}

func missingField(field, format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, codeMissingField, field, field + " is missing: " + fmt.Sprintf(format, args...)}
}

func badParameter(name, format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, codeBadParameter, name, name + ": " + fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *problem {
	return &problem{http.StatusNotFound, codeNotFound, "", fmt.Sprintf(format, args...)}
}

// problemOf translates any error into what the client is told. What is not
// the client's business stays here: it is logged by the caller.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*nsedge.Refusal](err); ok {
		return problemOfRefusal(refusal)
	}
	switch {
	case errors.Is(err, nsedge.ErrUnknownDevice):
		return &problem{http.StatusNotFound, codeNotFound, "", "Device not found"}
	case errors.Is(err, nsedge.ErrDeviceExists):
		return &problem{http.StatusForbidden, codeDuplicateDevice, "dev_eui", "Device already existing"}
	default:
		return &problem{http.StatusInternalServerError, codeServerError, "", "server error; it is in the log of gatewayd"}
	}
}

// problemOfRefusal puts the field's name in front of the message, as all our
// messages have it.
func problemOfRefusal(r *nsedge.Refusal) *problem {
	p := &problem{http.StatusBadRequest, r.Code, r.Field, r.Message}
	if r.Field != "" && !strings.HasPrefix(r.Message, r.Field) {
		p.Message = r.Field + ": " + r.Message
	}
	switch r.Code {
	case nsedge.CodeStopped:
		p.Status = http.StatusServiceUnavailable
	case nsedge.CodeServer:
		p.Status = http.StatusInternalServerError
	case nsedge.CodeDeviceUnknown:
		p.Status = http.StatusNotFound
	case nsedge.CodeDeviceExists:
		p.Status = http.StatusForbidden
	}
	return p
}

// noticeOf is the error message about what is wrong; the meta is that of the
// message that it is about.
func noticeOf(wrong error, m nsedge.Meta) *nsedge.Notice {
	p := problemOf(wrong)
	m.Time = time.Now()
	ev := &nsedge.Notice{Meta: m, Level: nsedge.Error, Code: p.Code, Message: p.Message}
	if refusal, ok := errors.AsType[*nsedge.Refusal](wrong); ok {
		ev.Timing = refusal.Timing
	}
	return ev
}

// writeJSON answers a request. Bodies are small and ours: they always marshal.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"code":"server_error","message":"the answer can't be encoded"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone can't be told
}

// refuse answers a request with what is wrong with it.
func refuse(w http.ResponseWriter, p *problem) {
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="gatewayd"`)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "5")
	}
	writeJSON(w, p.Status, p)
}

// shown quotes a client's value for a message: bounded, never a secret.
func shown(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
