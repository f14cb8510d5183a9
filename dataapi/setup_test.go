package dataapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

const (
	setupPath = "/api/v1.0/setup"
	firstUser = `{"email":"` + email + `","password":"` + password + `"}`
)

// from lets a request come from an address.
func (r *rig) from(remote, method, path, body string, header ...string) (int, string) {
	r.Helper()
	req := httptest.NewRequestWithContext(r.Context(), method, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	req.RemoteAddr = remote
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

const (
	here      = "127.0.0.1:40000"
	elsewhere = "192.0.2.7:40000"
)

func fresh(t *testing.T) *rig {
	t.Helper()
	r := start(t, Config{})
	r.users.hasher.memory = 64
	return r
}

func TestTheFirstStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fresh(t)
		if status, text := r.from(here, "GET", setupPath, ""); status != http.StatusOK || text != `{"setup":{"needed":true,"code":false}}`+"\n" {
			t.Errorf("%d %s", status, text)
		}
		for bad, field := range map[string]string{
			`{"email":"ann"}`: "password", `{"password":"` + password + `"}`: "email", `{"email":"x","password":"` + password + `"}`: "email",
			`{"email":"` + email + `","password":"short"}`: "password", `{`: "",
		} {
			if status, text := r.from(here, "POST", setupPath, bad); status != http.StatusBadRequest || !strings.Contains(text, field) {
				t.Errorf("%s: %d %s", bad, status, text)
			}
		}
		status, text := r.from(here, "POST", setupPath, firstUser)
		if status != http.StatusCreated || !strings.Contains(text, `"access_token"`) {
			t.Fatalf("%d %s", status, text)
		}
		if status, _ := r.raw("POST", authPath, goodLogin); status.StatusCode != http.StatusOK {
			t.Errorf("the first user can't sign in: %d", status.StatusCode)
		}
		// There is just one first user.
		if status, text := r.from(here, "POST", setupPath, `{"email":"eve@example.org","password":"`+password+`"}`); status != http.StatusForbidden || !strings.Contains(text, codeSetUp) {
			t.Errorf("a second one: %d %s", status, text)
		}
		if status, text := r.from(elsewhere, "GET", setupPath, ""); status != http.StatusOK || text != `{"setup":{"needed":false,"code":false}}`+"\n" || r.SetupCode() != "" {
			t.Errorf("%d %s", status, text)
		}
	})
}

func TestTheFirstStartFromElsewhereNeedsTheCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fresh(t)
		with := func(code string) string { return strings.TrimSuffix(firstUser, "}") + `,"code":"` + code + `"}` }
		for name, c := range map[string]struct {
			remote, body string
			header       []string
			status       int
		}{
			"no code":            {elsewhere, firstUser, nil, http.StatusBadRequest},
			"a wrong code":       {elsewhere, with("aaaaa-aaaaa"), nil, http.StatusForbidden},
			"through a proxy":    {here, firstUser, []string{"X-Forwarded-For", "192.0.2.7"}, http.StatusBadRequest},
			"a name that points": {here, firstUser, []string{"Host", "evil.example"}, http.StatusBadRequest},
			"another page":       {here, firstUser, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
			"a cross-site page":  {here, firstUser, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		} {
			if status, text := r.from(c.remote, "POST", setupPath, c.body, c.header...); status != c.status {
				t.Errorf("%s: %d %s", name, status, text)
			}
		}
		if _, text := r.from(elsewhere, "GET", setupPath, ""); text != `{"setup":{"needed":true,"code":true}}`+"\n" {
			t.Error(text)
		}
		// Guessing is slowed down.
		slow := false
		for range 30 {
			status, _ := r.from("192.0.2.8:1", "POST", setupPath, with("guess-guess"))
			slow = slow || status == http.StatusTooManyRequests
		}
		if !slow {
			t.Error("30 guesses at once")
		}
		if status, text := r.from(elsewhere, "POST", setupPath, with(" "+strings.ToUpper(r.SetupCode())+" ")); status != http.StatusCreated {
			t.Errorf("%d %s", status, text)
		}
		r.stop(nil)
		if strings.Contains(r.log.String(), password) {
			t.Error("the password is in the log")
		}
	})
}

func TestWhoAmI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		if status, body := r.rest("GET", "/api/v1.0/me", ""); status != http.StatusOK || body["me"].(map[string]any)["kind"] != "key" {
			t.Errorf("%d %v", status, body)
		}
		r.user()
		_, body := r.rest("GET", "/api/v1.0/me", "", "Authorization", "Bearer "+r.signInToken())
		if me := body["me"].(map[string]any); me["kind"] != "user" || me["email"] != email {
			t.Errorf("%v", body)
		}
		if status, _ := r.rest("GET", "/api/v1.0/me", "", "Authorization", ""); status != http.StatusUnauthorized {
			t.Errorf("without a token: %d", status)
		}
		w := httptest.NewRecorder()
		r.LocalHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1.0/me", nil))
		if !strings.Contains(w.Body.String(), `"kind":"local"`) {
			t.Error(w.Body.String())
		}
	})
}

func TestAUserChangesTheOwnPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		id := r.user()
		// A user with hardly any permissions may do that, too.
		if status, body := r.rest("PATCH", "/api/v1.0/users/"+id, `{"permissions":{"devices":{"*":["read"]}}}`); status != http.StatusOK {
			t.Fatalf("%d %v", status, body)
		}
		mine, other := r.signInToken(), r.signInToken()
		const path, better = "/api/v1.0/me/password", "correct horse battery"
		as := []string{"Authorization", "Bearer " + mine}
		for name, c := range map[string]struct {
			body   string
			status int
			field  string
		}{
			"no password":        {`{"new_password":"` + better + `"}`, http.StatusBadRequest, "password"},
			"a wrong password":   {`{"password":"x","new_password":"` + better + `"}`, http.StatusForbidden, "password"},
			"no new password":    {`{"password":"` + password + `"}`, http.StatusBadRequest, "new_password"},
			"a short password":   {`{"password":"` + password + `","new_password":"x"}`, http.StatusBadRequest, "new_password"},
			"a number for a new": {`{"password":"` + password + `","new_password":12345678}`, http.StatusBadRequest, "new_password"},
		} {
			if status, body := r.rest("POST", path, c.body, as...); status != c.status || body["field"] != c.field {
				t.Errorf("%s: %d %v", name, status, body)
			}
		}
		if status, body := r.rest("POST", path, `{"password":"`+password+`","new_password":"`+better+`"}`, as...); status != http.StatusNoContent {
			t.Fatalf("%d %v", status, body)
		}
		if status, _ := r.rest("GET", "/api/v1.0/me", "", as...); status != http.StatusOK {
			t.Errorf("the own session has ended: %d", status)
		}
		if status, _ := r.rest("GET", "/api/v1.0/me", "", "Authorization", "Bearer "+other); status != http.StatusUnauthorized {
			t.Errorf("the other session lives: %d", status)
		}
		if res, _ := r.raw("POST", authPath, goodLogin); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("the old password works: %d", res.StatusCode)
		}
		if status, body := r.rest("POST", path, `{"password":"x","new_password":"y"}`); status != http.StatusForbidden {
			t.Errorf("a key: %d %v", status, body)
		}
	})
}
