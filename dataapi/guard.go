package dataapi

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// guard stands before everything that is served: who comes too often from
// one address is refused, and browsers learn which other sites' pages may
// call. The health checks and figures are beside it.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if local(r) {
			next.ServeHTTP(w, r)
			return
		}
		if ok, wait := s.pace.allow("address " + addressOf(r)); !ok {
			p := tooMany(wait, "requests from this address")
			s.audit(r, "", p)
			refuse(w, p)
			return
		}
		if s.allowOrigin(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

func local(r *http.Request) bool {
	_, ok := r.Context().Value(localKey{}).(*Key)
	return ok
}

// allowOrigin tells a browser that the page may call, if its origin is in the
// configuration. Cookies don't count for such calls: they need a token. It
// answers preflights itself; done says that it did.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || len(s.cfg.Origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if !s.allowedOrigin(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (s *Server) allowedOrigin(origin string) bool {
	return origin != "" && slices.ContainsFunc(s.cfg.Origins, func(o string) bool { return o == "*" || strings.EqualFold(o, origin) })
}

// paceKey counts a request for the key that it was authorised by.
func (s *Server) paceKey(cred credentials) error {
	if cred.local {
		return nil
	}
	if ok, wait := s.pace.allow("key " + cred.key.ID); !ok {
		return tooMany(wait.Round(time.Second), "requests with this key")
	}
	return nil
}
