package dataapi

import "net/http"

// Observer is told of what goes through the APIs, as a flight recorder is. It
// must not block, and must not keep the text that it is given.
type Observer interface {
	// Message is one of the Data API: "in" from an application, whose key's or
	// connection's ID is who; "out" to those that want it. It may hold keys.
	Message(way, who string, text []byte)
	// Request is one to the Management API, by a key's ID.
	Request(method, path, key string, status int)
}

// decode takes a message of an application apart.
func (s *Server) decode(who string, text []byte) (message, error) {
	if o := s.cfg.Observer; o != nil {
		o.Message("in", who, text)
	}
	return s.encoder.decode(text)
}

func (s *Server) observe(r *http.Request, keyID string, status int) {
	if o := s.cfg.Observer; o != nil {
		o.Request(r.Method, bounded(r.URL.Path), keyID, status)
	}
}
