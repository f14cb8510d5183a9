package dataapi

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"
)

// mostAudited are kept in memory; the log has them all.
const mostAudited = 1000

// audited is one refusal or change.
type audited struct {
	Time   float64 `json:"time"`
	What   string  `json:"what"` // refused, changed
	Remote string  `json:"remote"`
	Method string  `json:"method"`
	Path   string  `json:"path"` // without the query: it may hold a token
	Key    string  `json:"key"`  // id of the key or the session, "" for none
	Code   string  `json:"code"` // of what was refused
	Status int     `json:"status"`
}

// auditTrail is the newest of them, oldest first.
type auditTrail struct {
	mu  sync.Mutex
	all []audited
}

func (t *auditTrail) add(a audited) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) >= mostAudited {
		t.all = slices.Delete(t.all, 0, len(t.all)-mostAudited+1)
	}
	t.all = append(t.all, a)
}

func auditOf(what string, r *http.Request, keyID string, status int) audited {
	return audited{Time: float64(time.Now().UnixMicro()) / 1e6, What: what, Remote: r.RemoteAddr, Method: r.Method, Path: bounded(r.URL.Path), Key: keyID, Status: status}
}

// audit writes down who was refused, and why: never a token, and never more
// lines than somebody can read.
func (s *Server) audit(r *http.Request, keyID string, p *problem) {
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
	default:
		return
	}
	if !s.auditPace.Allow() {
		return
	}
	a := auditOf("refused", r, keyID, p.Status)
	a.Code = p.Code
	s.trail.add(a)
	s.log.Warn("refused", slog.String("remote", a.Remote), slog.String("method", a.Method), slog.String("path", a.Path),
		slog.String("key", keyID), slog.String("code", p.Code))
}

// auditChange writes down who changed what.
func (s *Server) auditChange(r *http.Request, keyID string, status int) {
	if keyID == "" || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return
	}
	a := auditOf("changed", r, keyID, status)
	s.trail.add(a)
	s.log.Info("changed", slog.String("remote", a.Remote), slog.String("method", a.Method), slog.String("path", a.Path),
		slog.String("key", keyID), slog.Int("status", status))
}

func bounded(s string) string { return s[:min(len(s), 128)] }

// getAudit shows the newest first.
func (s *Server) getAudit(c *call) (reply, error) {
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	s.trail.mu.Lock()
	all := slices.Clone(s.trail.all)
	s.trail.mu.Unlock()
	slices.Reverse(all)
	return listReply("audit", append([]audited{}, cut(pg, all)...), len(all), pg), nil
}
