package dataapi

import (
	"context"
	"net/http"
)

// localKey marks a request that came by [Server.LocalHandler].
type localKey struct{}

// LocalHandler serves the same as [Server.Handler] with every right and
// without a token. It is for an admin socket that only its owner can open;
// never give it to a network listener.
func (s *Server) LocalHandler() http.Handler {
	local := &Key{ID: "local", Description: "this machine", Rights: AllRights()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), localKey{}, local)))
	})
}
