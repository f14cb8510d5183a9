package dataapi

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Sign-ins that may be tried: at once, and then a minute. A successful one
// clears the slate.
const (
	triesPerAccount   = 10
	triesPerAddress   = 20
	accountsPerMinute = 6
	addressPerMinute  = 20
)

var errBadSignIn = &problem{http.StatusUnauthorized, codeBadSignIn, "", "email or password is wrong; an administrator can set the password with: gatewayd user password EMAIL --password-stdin"}

// signIn takes {"email","password"} and begins a session.
func (s *Server) signIn(c *call) (reply, error) {
	body, err := c.body("auth")
	if err != nil {
		return reply{}, err
	}
	email, err := body.text("email")
	if err != nil {
		return reply{}, err
	}
	password, ok := unquote(body.m["password"])
	if email = normalEmail(email); email == "" || !ok || password == "" {
		return reply{}, missingField("email", `{"email": …, "password": …} is wanted, both texts`)
	}
	address := addressOf(c.Request)
	account := shown(email) // bounded
	if ok, wait := s.byAddress.allow(address); !ok {
		return reply{}, tooMany(wait, "sign-ins from this address")
	}
	if ok, wait := s.byAccount.allow(account); !ok {
		return reply{}, tooMany(wait, "sign-ins with this email")
	}
	u, right := user{}, false
	if len(password) <= longestPassword {
		if u, right, err = s.users.check(c.Context(), email, password); err != nil {
			return reply{}, err
		}
	}
	if !right {
		return reply{}, errBadSignIn
	}
	s.byAddress.clear(address)
	s.byAccount.clear(account)
	s.log.Info("signed in", slog.String("user", u.ID), slog.String("remote", c.RemoteAddr))
	return s.beginSession(c, u, http.StatusOK)
}

func (s *Server) beginSession(c *call, u user, status int) (reply, error) {
	token, err := s.sessions.begin(u.ID)
	if err != nil {
		return reply{}, err
	}
	c.setCookie(token, sessionLife)
	return reply{status, map[string]any{
		"access_token": token, "email": u.Email, "permissions": u.Permissions, "user_id": u.ID, "org": u.Org,
	}}, nil
}

// signOut ends the sessions whose tokens the request carries; keys are left
// alone.
func (s *Server) signOut(c *call) (reply, error) {
	for _, token := range tokensOf(c.Request, c.query) {
		if err := s.sessions.end(token.text); err != nil {
			return reply{}, err
		}
	}
	c.setCookie("", -time.Second)
	return reply{http.StatusOK, struct{}{}}, nil
}

// setCookie gives the client the session's cookie, or takes it.
func (c *call) setCookie(token string, life time.Duration) {
	http.SetCookie(c.w, &http.Cookie{ //nolint:gosec // Secure where there is TLS
		Name: sessionCookie, Value: token, Path: "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: c.TLS != nil,
	})
}

// crossSite tells whether a page of another site makes the browser send this.
func crossSite(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Sec-Fetch-Site"), "cross-site")
}
