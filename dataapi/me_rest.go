package dataapi

import (
	"net/http"
)

// meView is who a token belongs to.
type meView struct {
	Kind        string      `json:"kind"` // "user", "key", or "local" for the admin socket
	ID          string      `json:"id"`   // of the key or the session
	UserID      string      `json:"user_id"`
	Email       string      `json:"email,omitempty"`
	Name        string      `json:"name,omitempty"`
	Org         string      `json:"org"`
	Description string      `json:"description"`
	Permissions Permissions `json:"permissions"`
	Rights      []Right     `json:"rights"`
	Scope       *lists      `json:"scope,omitempty"`
}

// getMe says what the token of a request is good for.
func (s *Server) getMe(c *call) (reply, error) {
	k := c.key
	v := meView{Kind: "key", ID: k.ID, UserID: k.UserID, Org: k.Org, Description: k.Description, Permissions: k.shownPermissions(), Rights: shownRights(k), Scope: k.Scope}
	if local(c.Request) {
		v.Kind = "local"
	}
	if u, ok := s.signedIn(c); ok {
		v.Kind, v.Email, v.Name = "user", u.Email, u.Name
	}
	return reply{http.StatusOK, map[string]meView{"me": v}}, nil
}

// signedIn is the user behind a session's token.
func (s *Server) signedIn(c *call) (user, bool) {
	if !s.sessions.has(c.key.ID) {
		return user{}, false
	}
	u, err := s.users.find(c.key.UserID)
	return u, err == nil
}

// changePassword takes {"password","new_password"}. The user's other sessions
// end, this one goes on.
func (s *Server) changePassword(c *call) (reply, error) {
	u, ok := s.signedIn(c)
	if !ok {
		return reply{}, &problem{http.StatusForbidden, codeForbidden, "access_token", "access_token: a key has no password; sign in with POST " + root + "/auth first"}
	}
	body, err := c.body("me")
	if err != nil {
		return reply{}, err
	}
	password, ok := unquote(body.m["password"])
	if !ok || password == "" || len(password) > longestPassword {
		return reply{}, missingField("password", "the password that is valid now is wanted")
	}
	if ok, wait := s.byAccount.allow(shown(u.Email)); !ok {
		return reply{}, tooMany(wait, "tries with this password")
	}
	if _, right, err := s.users.check(c.Context(), u.Email, password); err != nil {
		return reply{}, err
	} else if !right {
		return reply{}, &problem{http.StatusForbidden, codeBadSignIn, "password", "password: it is not the one that is valid now"}
	}
	s.byAccount.clear(shown(u.Email))
	if !body.given("new_password") {
		return reply{}, missingField("new_password", "a text of %d to %d bytes is wanted", shortestPassword, longestPassword)
	}
	if err := s.users.setPassword(c.Context(), &u, body, "new_password"); err != nil {
		return reply{}, err
	}
	if err := s.users.put(u); err != nil {
		return reply{}, userProblem(err)
	}
	return reply{status: http.StatusNoContent}, s.sessions.endOthers(u.ID, c.key.ID)
}
