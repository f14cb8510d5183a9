package dataapi

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether uplinks would reach an AS, or why not.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		message := err.Error()
		if p, ok := errors.AsType[*problem](err); ok {
			message = p.Message
		}
		refuse(w, &problem{http.StatusServiceUnavailable, codeNotReady, "", message})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *Server) ready(ctx context.Context) error {
	if _, err := s.theEdge(); err != nil {
		return err
	}
	if !s.running.Load() {
		return &problem{Code: codeNotReady, Message: "the data api does not run"}
	}
	if s.cfg.Ready == nil {
		return nil
	}
	return s.cfg.Ready(ctx)
}

const indexPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gatewayd</title>
<h1>gatewayd</h1>
<p>A LoRaWAN network on its own gateway. What is served here:</p>
<ul>
<li><code>/api/v1.0/data?access_token=…</code> the Data API, a WebSocket</li>
<li><code>/api/v1.0/devices</code>, <code>/api/v1.0/keys</code> the Management API</li>
<li><a href="healthz">/healthz</a>, <a href="readyz">/readyz</a>, <a href="metrics">/metrics</a></li>
</ul></html>
`

// index is a plain page with what is served.
func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	_, _ = w.Write([]byte(indexPage)) // a client that is gone can't be told
}
