package dataapi

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// setup is the first start. While there is no user, the first visitor may
// become one: from this machine, or with a code that stands in the log of this
// start. Afterwards that is over.
type setup struct {
	mu   sync.Mutex // one first user
	code string
}

// newSetupCode is for people to type: 50 bits as "abcde-fghij".
func newSetupCode() string {
	b := make([]byte, 7)
	_, _ = rand.Read(b) // never fails
	text := strings.ToLower(base32.StdEncoding.EncodeToString(b))
	return text[:5] + "-" + text[5:10]
}

// SetupCode lets somebody who isn't on this machine make the first user; ""
// when there is a user. It is valid until then, and in this process only.
func (s *Server) SetupCode() string {
	if s.users.some() {
		return ""
	}
	return s.setup.code
}

var errSetUp = &problem{http.StatusForbidden, codeSetUp, "", "gatewayd is set up: sign in, or add a user on the gateway with: gatewayd user add"}

// setupState tells who comes first what is wanted.
type setupState struct {
	Needed bool `json:"needed"` // there is no user yet
	Code   bool `json:"code"`   // this client needs the code out of the log
}

func (s *Server) getSetup(c *call) (reply, error) {
	needed := !s.users.some()
	return reply{http.StatusOK, map[string]setupState{"setup": {needed, needed && !fromHere(c.Request)}}}, nil
}

// makeFirstUser takes {"email","password","code"} and signs the new user in.
func (s *Server) makeFirstUser(c *call) (reply, error) {
	body, err := c.body("setup")
	if err != nil {
		return reply{}, err
	}
	s.setup.mu.Lock()
	defer s.setup.mu.Unlock()
	if s.users.some() {
		return reply{}, errSetUp
	}
	if !sameOrigin(c.Request) {
		return reply{}, errCrossOrigin
	}
	if err := s.checkCode(c, body); err != nil {
		return reply{}, err
	}
	u, err := s.newUser(c, body)
	if err != nil {
		return reply{}, err
	}
	s.log.Info("the first user is set up", slog.String("user", u.ID), slog.String("remote", c.RemoteAddr))
	return s.beginSession(c, u, http.StatusCreated)
}

// checkCode lets those through who are on this machine, and those who read
// its log.
func (s *Server) checkCode(c *call, body fields) error {
	if fromHere(c.Request) {
		return nil
	}
	if !body.given("code") {
		return missingField("code", "the setup code stands in gatewayd's log, in the line \"no user yet\"")
	}
	if ok, wait := s.byAddress.allow(addressOf(c.Request)); !ok {
		return tooMany(wait, "tries from this address")
	}
	code, err := body.text("code")
	code = strings.ToLower(strings.TrimSpace(code))
	if err != nil || subtle.ConstantTimeCompare([]byte(code), []byte(s.setup.code)) != 1 {
		return &problem{http.StatusForbidden, codeBadSetup, "code", "code: it is not the setup code of this start; it stands in gatewayd's log, in the line \"no user yet\""}
	}
	return nil
}

// fromHere tells whether a request comes from this machine itself: neither
// through a proxy on it, nor from a page that made a name of its own point
// here.
func fromHere(r *http.Request) bool {
	if local(r) {
		return true
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return false
		}
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
