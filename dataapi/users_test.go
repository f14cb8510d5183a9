package dataapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

const (
	email     = "ann@example.org"
	password  = "correct horse"
	authPath  = "/api/v1.0/auth"
	goodLogin = `{"email":"` + email + `","password":"` + password + `"}`
)

func (r *rig) user() (id string) {
	r.Helper()
	r.users.hasher.memory = 64 // cheap: the cost has a test of its own
	status, body := r.rest("POST", "/api/v1.0/users", goodLogin)
	if status != http.StatusCreated {
		r.Fatalf("%d %v", status, body)
	}
	return body["user"].(map[string]any)["id"].(string)
}

// signInToken signs in and returns the token.
func (r *rig) signInToken() string {
	r.Helper()
	res, body := r.raw("POST", authPath, goodLogin)
	if res.StatusCode != http.StatusOK {
		r.Fatalf("%d %v", res.StatusCode, body)
	}
	return body["access_token"].(string)
}

// Section 8 of the contract: "/auth: exactly 200, access_token (32 hex),
// email, permissions.devices["*"] holding read and update; the cookie's value
// equals the token".
func TestSignInAnswersAsClientsExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.user()
		res, body := r.raw("POST", authPath, `{"email":" Ann@Example.ORG","password":"`+password+`"}`)
		token, _ := body["access_token"].(string)
		if res.StatusCode != http.StatusOK || !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(token) || body["email"] != email {
			t.Fatalf("%d %v", res.StatusCode, body)
		}
		actions, _ := json.Marshal(body["permissions"].(map[string]any)["devices"].(map[string]any)["*"])
		if !strings.Contains(string(actions), `"read"`) || !strings.Contains(string(actions), `"update"`) {
			t.Errorf("permissions.devices[*] is %s", actions)
		}
		cookies := res.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "session_token" || cookies[0].Value != token || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
			t.Errorf("cookies %v", cookies)
		}
	})
}

func TestTheTokenOfASignInWorksEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.user()
		token := r.signInToken()
		const path = "/api/v1.0/devices"
		for name, c := range map[string]struct {
			query  string
			header []string
			status int
		}{
			"query":                    {"access_token=" + token, nil, 200},
			"bearer":                   {"", []string{"Authorization", "Bearer " + token}, 200},
			"cookie":                   {"", []string{"Cookie", "session_token=" + token}, 200},
			"all at once":              {"access_token=" + token, []string{"Authorization", "Bearer " + token, "Cookie", "session_token=" + token}, 200},
			"a header without scheme":  {"access_token=" + token, []string{"Authorization", "something"}, 200},
			"only one of several good": {"access_token=old", []string{"Authorization", "Bearer old", "Cookie", "session_token=" + token}, 200},
			"none":                     {"", nil, 401},
		} {
			if res, body := r.raw("GET", path+"?"+c.query, "", c.header...); res.StatusCode != c.status {
				t.Errorf("%s: %d %v", name, res.StatusCode, body)
			}
		}
		d := websocket.Dialer{NetDialContext: r.pipes.Dial}
		for _, h := range []http.Header{{"Authorization": {"Bearer " + token}}, {"Cookie": {"session_token=" + token}, "Origin": {"http://gateway"}}} {
			conn, _, err := d.Dial("ws://gateway/api/v1.0/data", h) //nolint:bodyclose // Dial closes it
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		if _, res, err := d.Dial("ws://gateway/api/v1.0/data", http.Header{"Cookie": {"session_token=" + token}, "Origin": {"https://evil.example"}}); err == nil || res.StatusCode != http.StatusForbidden { //nolint:bodyclose // Dial closes it
			t.Errorf("another origin, by cookie alone: %v", err)
		}
	})
}

func TestWritesByCookie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.user()
		cookie := "session_token=" + r.signInToken()
		for i, c := range []struct {
			header []string
			status int
		}{
			{nil, 201}, // a script
			{[]string{"Origin", "http://gateway", "Sec-Fetch-Site", "same-origin"}, 201},
			{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
			{[]string{"Origin", "https://evil.example"}, 403},
		} {
			body := fmt.Sprintf(`{"dev_eui":"%016x"}`, i)
			if res, got := r.raw("POST", "/api/v1.0/devices", body, append(c.header, "Cookie", cookie)...); res.StatusCode != c.status {
				t.Errorf("%v: %d %v", c.header, res.StatusCode, got)
			}
		}
		if res, _ := r.raw("POST", authPath, goodLogin, "Sec-Fetch-Site", "cross-site"); res.StatusCode != http.StatusForbidden {
			t.Errorf("a sign-in that another site makes: %d", res.StatusCode)
		}
	})
}

func TestSigningOutEndsTheSessionAndItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.user()
		admin := r.token
		r.token = r.signInToken()
		conn := r.connect("")
		res, _ := r.raw("GET", "/api/v1.0/logout", "", "Cookie", "session_token="+r.token)
		if c := res.Cookies(); res.StatusCode != http.StatusOK || len(c) != 1 || c[0].MaxAge >= 0 {
			t.Errorf("%d %v", res.StatusCode, c)
		}
		if code, why := closeCode(conn); code != closePolicy || !strings.Contains(why, "revoked") {
			t.Errorf("the connection closed with %d %s", code, why)
		}
		if res, _ := r.raw("GET", "/api/v1.0/devices?access_token="+r.token, ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the token still works: %d", res.StatusCode)
		}
		if res, _ := r.raw("GET", "/api/v1.0/logout?access_token="+admin, ""); res.StatusCode != http.StatusOK {
			t.Errorf("%d", res.StatusCode)
		}
		if res, _ := r.raw("GET", "/api/v1.0/devices?access_token="+admin, ""); res.StatusCode != http.StatusOK {
			t.Error("signing out revoked a key")
		}
	})
}

func TestUsersResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		const path = "/api/v1.0/users"
		id := r.user()
		if status, body := r.rest("POST", path, goodLogin); status != http.StatusForbidden || body["code"] != codeUserExists {
			t.Errorf("twice: %d %v", status, body)
		}
		status, body := r.rest("GET", path, "")
		if status != http.StatusOK || body["total"] != 1.0 || strings.Contains(fmt.Sprint(body), "argon") {
			t.Errorf("%d %v", status, body)
		}
		for _, one := range []string{id, email} {
			if status, body = r.rest("GET", path+"/"+one, ""); status != http.StatusOK || body["user"].(map[string]any)["email"] != email || body["user"].(map[string]any)["password"] != nil {
				t.Errorf("%d %v", status, body)
			}
		}
		token := r.signInToken()
		if status, body = r.rest("PATCH", path+"/"+id, `{"name":"Ann"}`); status != http.StatusOK || body["user"].(map[string]any)["name"] != "Ann" {
			t.Errorf("%d %v", status, body)
		}
		if res, _ := r.raw("GET", "/api/v1.0/devices?access_token="+token, ""); res.StatusCode != http.StatusOK {
			t.Errorf("a session ends with the user's name: %d", res.StatusCode)
		}
		if status, body = r.rest("PATCH", path+"/"+id, `{"user":{"password":"another word","permissions":{"devices":{"*":["read"]}}}}`); status != http.StatusOK {
			t.Errorf("%d %v", status, body)
		}
		if res, _ := r.raw("GET", "/api/v1.0/devices?access_token="+token, ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a session outlives its password: %d", res.StatusCode)
		}
		if res, _ := r.raw("POST", authPath, goodLogin); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the old password: %d", res.StatusCode)
		}
		res, got := r.raw("POST", authPath, `{"email":"`+email+`","password":"another word"}`)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%d %v", res.StatusCode, got)
		}
		bearer := []string{"Authorization", "Bearer " + got["access_token"].(string)}
		if res, _ = r.raw("GET", "/api/v1.0/devices", "", bearer...); res.StatusCode != http.StatusOK {
			t.Errorf("with devices: read: %d", res.StatusCode)
		}
		if res, _ = r.raw("POST", path, `{}`, bearer...); res.StatusCode != http.StatusForbidden {
			t.Errorf("without permissions on users: %d", res.StatusCode)
		}
		for _, bad := range []struct{ text, field string }{
			{`{"password":"12345678"}`, "email"}, {`{"email":"a@b"}`, "password"}, {`{"email":"a@b","password":"short"}`, "password"}, {`{"email":"a@b","password":12345678}`, "password"},
			{`{"email":"Ann <a@b>","password":"12345678"}`, "email"}, {`{"email":"no address","password":"12345678"}`, "email"}, {`{"email":"a@b","password":"12345678","permissions":[]}`, "permissions"},
			{`{"email":"a@b","password_hash":"$2y$10$12345678"}`, "password_hash"}, {`{"email":"a@b","password_hash":12345678}`, "password_hash"},
			{`{"email":"a@b","password_hash":"$argon2id$v=19$m=65537,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5"}`, "password_hash"},
			{`{"email":"a@b","password":"12345678","password_hash":"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5"}`, "password_hash"},
			{`{"email":[],"password":"12345678"}`, "email"}, {`{"email":"a@b","password":"` + strings.Repeat("x", 1025) + `"}`, "password"},
		} {
			if status, body = r.rest("POST", path, bad.text); status != http.StatusBadRequest || body["field"] != bad.field || strings.Contains(fmt.Sprint(body), "12345678") {
				t.Errorf("%.60s: %d %v", bad.text, status, body)
			}
		}
		if status, _ = r.rest("DELETE", path+"/"+id, ""); status != http.StatusNoContent {
			t.Errorf("%d", status)
		}
		if res, _ = r.raw("GET", "/api/v1.0/devices", "", bearer...); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a session outlives its user: %d", res.StatusCode)
		}
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			if status, body = r.rest(method, path+"/"+id, `{}`); status != http.StatusNotFound {
				t.Errorf("%s: %d %v", method, status, body)
			}
		}
	})
}

func TestGuessingPasswordsIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.user()
		wrong := `{"email":"` + email + `","password":"wrong"}`
		counts := map[int]int{}
		for range triesPerAccount + 5 {
			res, body := r.raw("POST", authPath, wrong)
			counts[res.StatusCode]++
			if res.StatusCode == http.StatusTooManyRequests && (res.Header.Get("Retry-After") == "" || body["code"] != codeRateLimited) {
				t.Errorf("%v %v", res.Header, body)
			}
		}
		if counts[401] != triesPerAccount || counts[429] != 5 {
			t.Errorf("status: %v", counts)
		}
		if res, _ := r.raw("POST", authPath, goodLogin); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("the right password among guesses: %d", res.StatusCode)
		}
		time.Sleep(time.Minute / accountsPerMinute) // virtual
		if res, _ := r.raw("POST", authPath, goodLogin); res.StatusCode != http.StatusOK {
			t.Errorf("after the pause: %d", res.StatusCode)
		}
		for i := range triesPerAddress {
			r.raw("POST", authPath, fmt.Sprintf(`{"email":"nobody%d@example.org","password":"wrong"}`, i))
		}
		if res, _ := r.raw("POST", authPath, `{"email":"fresh@example.org","password":"wrong"}`); res.StatusCode != http.StatusTooManyRequests {
			t.Errorf("an address that tries many accounts: %d", res.StatusCode)
		}
	})
}

func TestSessionsLastAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &memory{}
		r := start(t, Config{Documents: d})
		r.user()
		token := r.signInToken()
		works := func(s *Server) bool { _, ok := s.lookup(token); return ok }
		for range 3 { // used, it lives on
			time.Sleep(29 * 24 * time.Hour) // virtual
			if !works(r.Server) {
				t.Fatal("a session that is used ended")
			}
		}
		again, err := New(Config{Documents: d})
		if err != nil || !works(again) {
			t.Errorf("after a restart: %v", err)
		}
		time.Sleep(sessionLife + time.Second) // virtual
		if works(r.Server) || works(again) {
			t.Error("a session that nobody used for 30 days still works")
		}
	})
}

func TestTheLongestUnusedOfTooManySessionsGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, err := openUsers(&memory{})
		if err != nil {
			t.Fatal(err)
		}
		if err := u.put(user{ID: "u", Email: email}); err != nil {
			t.Fatal(err)
		}
		s, err := openSessions(&memory{}, u)
		if err != nil {
			t.Fatal(err)
		}
		var tokens []string
		for i := range mostSessions + 1 {
			time.Sleep(time.Second) // virtual
			if i == mostSessions {
				s.lookup(tokens[0])
			}
			token, err := s.begin("u")
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
		}
		for i, want := range map[int]bool{0: true, 1: false, 2: true, mostSessions: true} {
			if _, ok := s.lookup(tokens[i]); ok != want {
				t.Errorf("session %d lives: %v", i, ok)
			}
		}
	})
}

func TestPasswordsAreKeptAsArgon2id(t *testing.T) {
	h := newHasher()
	a, err := h.hash(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := h.hash(t.Context(), "x")
	if !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") || a == b {
		t.Errorf("%s, %s", a, b)
	}
	// Made with the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, c := range []struct {
		hash, password string
		ok             bool
	}{{a, "x", true}, {a, "y", false}, {"", "", false}, {"", "x", false}, {reference, "password", true}, {reference, "Password", false}} {
		if ok, err := h.verify(t.Context(), c.hash, c.password); err != nil || ok != c.ok {
			t.Errorf("%s with %q: %v %v", c.hash, c.password, ok, err)
		}
	}
	for _, damaged := range []string{"x", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ", "$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2id$v=19$m=65536,t=2,p=1$!$!"} {
		if _, err := h.verify(t.Context(), damaged, "x"); err == nil {
			t.Errorf("%s is taken", damaged)
		}
	}
	for range hashQueue {
		h.queue <- struct{}{}
	}
	if _, err := h.verify(t.Context(), a, "x"); err != errHashing { //nolint:errorlint // this very one
		t.Errorf("when too many wait: %v", err)
	}
}

func BenchmarkSignIn(b *testing.B) {
	h := newHasher()
	hash, err := h.hash(context.Background(), password)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, err := h.verify(context.Background(), hash, password); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func TestAUserForWhomNothingIsNamedMayDoEverythingThatIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		all := allPermissions()
		for _, route := range r.table() {
			if route.name != "" && route.name != public && !all.allow(route.name, update, "any") {
				t.Errorf("%s takes permissions on %q, which a user doesn't have", route.path, route.name)
			}
		}
	})
}

// The hash is that of the Debian tool: echo -n password | argon2 somesalt -id
// -e, whose costs (4 MiB, 3 passes) are other than ours.
func TestAPasswordThatWasHashedElsewhereSignsIn(t *testing.T) {
	const hash = "$argon2id$v=19$m=4096,t=3,p=1$c29tZXNhbHQ$qLml5cbqFAO6YxVHhrSBHP0UWdxrIxkNcM8aMX3blzU"
	r := start(t, Config{})
	if status, body := r.rest("POST", "/api/v1.0/users", `{"email":"`+email+`","password_hash":"`+hash+`"}`); status != http.StatusCreated || strings.Contains(fmt.Sprint(body), "argon2") {
		t.Fatalf("%d %v", status, body)
	}
	for text, want := range map[string]int{"password": http.StatusOK, "passwore": http.StatusUnauthorized} {
		if res, body := r.raw("POST", authPath, `{"email":"`+email+`","password":"`+text+`"}`); res.StatusCode != want {
			t.Errorf("%s: %d %v", text, res.StatusCode, body)
		}
	}
}
