package dataapi

import (
	"net/http"
	"net/url"
	"strings"
)

// sessionCookie holds a token too.
const sessionCookie = "session_token"

// credentials are how a request was authorised.
type credentials struct {
	key    *Key
	local  bool // by [Server.LocalHandler]
	cookie bool // by the cookie alone: such requests must not come from elsewhere
}

// token is one that a request carries.
type token struct {
	text   string
	cookie bool
}

// tokensOf are the tokens of query, Authorization header and cookie, in this
// order. Clients send several at once, and some send an Authorization header
// that is none of ours beside a good query token.
func tokensOf(r *http.Request, query parameters) []token {
	var all []token
	add := func(text string, cookie bool) {
		if text != "" {
			all = append(all, token{text, cookie})
		}
	}
	for _, text := range query["access_token"] {
		add(text, false)
	}
	if scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		add(strings.TrimSpace(text), false)
	}
	for _, c := range r.CookiesNamed(sessionCookie) {
		add(c.Value, true)
	}
	return all
}

// lookup returns the key of a token, or what a session's token permits.
func (s *Server) lookup(token string) (*Key, bool) {
	if key, ok := s.keys.Lookup(token); ok {
		return key, true
	}
	return s.sessions.lookup(token)
}

// lives tells whether a key or a session has not been revoked.
func (s *Server) lives(keyID string) bool {
	_, err := s.keys.Get(keyID)
	return err == nil || s.sessions.has(keyID)
}

// authenticate takes the first good token.
func (s *Server) authenticate(r *http.Request, query parameters) (credentials, error) {
	if key, ok := r.Context().Value(localKey{}).(*Key); ok {
		return credentials{key: key, local: true}, nil
	}
	tokens := tokensOf(r, query)
	for _, t := range tokens {
		if key, ok := s.lookup(t.text); ok {
			return credentials{key: key, cookie: t.cookie}, nil
		}
	}
	if len(tokens) > 0 {
		return credentials{}, &problem{http.StatusUnauthorized, codeUnknownToken, "access_token",
			"access_token: this token is unknown or revoked; make one with: gatewayd key create"}
	}
	return credentials{}, &problem{http.StatusUnauthorized, codeMissingToken, "access_token",
		"access_token is missing; give ?access_token=TOKEN or the header Authorization: Bearer TOKEN, with a token (32 hex digits) made by: gatewayd key create"}
}

// sameOrigin tells whether a browser page of another site is behind the
// request. Programs send no Origin.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

var errCrossOrigin = &problem{http.StatusForbidden, codeCrossOrigin, "Origin",
	"Origin: a request authorised by the session cookie alone must come from this server's own pages; give access_token instead"}
