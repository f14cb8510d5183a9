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
