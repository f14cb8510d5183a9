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

// authenticate takes the first good token of query, Authorization header and
// cookie. Clients send several at once, and some send an Authorization header
// that is none of ours beside a good query token.
func (s *Server) authenticate(r *http.Request, query parameters) (credentials, error) {
	if key, ok := r.Context().Value(localKey{}).(*Key); ok {
		return credentials{key: key, local: true}, nil
	}
	given := false
	try := func(token string) *Key {
		if token == "" {
			return nil
		}
		given = true
		key, _ := s.keys.Lookup(token)
		return key
	}
	for _, token := range query["access_token"] {
		if key := try(token); key != nil {
			return credentials{key: key}, nil
		}
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		if key := try(strings.TrimSpace(token)); key != nil {
			return credentials{key: key}, nil
		}
	}
	for _, c := range r.CookiesNamed(sessionCookie) {
		if key := try(c.Value); key != nil {
			return credentials{key: key, cookie: true}, nil
		}
	}
	if given {
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
