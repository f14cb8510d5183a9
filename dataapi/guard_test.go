package dataapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitsRememberABoundedNumberOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimits(1, 2)
		for i := range 3 * mostLimited {
			l.allow(fmt.Sprint(i))
		}
		if len(l.by) > mostLimited {
			t.Errorf("%d names", len(l.by))
		}
		l.allow("x")
		l.allow("x")
		if ok, wait := l.allow("x"); ok || wait != time.Second {
			t.Errorf("%v %v", ok, wait)
		}
		time.Sleep(time.Second) // virtual
		if ok, _ := l.allow("x"); !ok {
			t.Error("not after a second")
		}
	})
}

func TestRequestsAreLimitedPerAddressAndPerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{MaxRequests: 2})
		counts := map[int]int{}
		for range 10 {
			status, _ := r.rest("GET", "/api/v1.0/bands", "")
			counts[status]++
		}
		if counts[200] != 8 || counts[429] != 2 {
			t.Errorf("%v", counts)
		}
		if status, _ := r.rest("GET", "/healthz", ""); status != http.StatusOK {
			t.Errorf("the health check is limited: %d", status)
		}
		r.pace.clear("address pipe")
		if status, body := r.rest("GET", "/api/v1.0/bands", ""); status != http.StatusTooManyRequests || !strings.Contains(body["message"].(string), "this key") {
			t.Errorf("the same key from another address: %d %v", status, body)
		}
	})
}

func TestAddressesAreCountedAsOneCustomerHasThem(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:4711": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::/64", "[fe80::1%eth0]:1": "fe80::/64", "@": "@", "host:1": "host",
	} {
		if got := addressOf(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s", remote, got)
		}
	}
}

func TestOtherSitesMayCallOnlyIfConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Origins: []string{"https://app.example"}})
		preflight := []string{"Access-Control-Request-Method", "PATCH"}
		for origin, want := range map[string]string{"https://app.example": "https://app.example", "https://evil.example": ""} {
			res, _ := r.raw("OPTIONS", "/api/v1.0/devices", "", append(preflight, "Origin", origin)...)
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != want || res.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: %v", origin, res.Header)
			}
			if want != "" && !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
				t.Errorf("%v", res.Header)
			}
			res, _ = r.raw("GET", "/api/v1.0/bands?access_token="+r.token, "", "Origin", origin)
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != want || !slices.Contains(res.Header.Values("Vary"), "Origin") {
				t.Errorf("%s: %v", origin, res.Header)
			}
		}
	})
}

func TestRefusalsAndChangesAreWrittenDownWithoutTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		r.user()
		r.raw("GET", "/api/v1.0/devices?access_token=00112233445566778899aabbccddeeff", "")
		r.raw("POST", authPath, `{"email":"`+email+`","password":"not the right one"}`)
		r.signInToken()
		for range 100 {
			r.raw("GET", "/api/v1.0/devices", "")
		}
		r.stop(nil)
		log := r.log.String()
		for _, want := range []string{"msg=refused", "code=unknown_token", "code=bad_sign_in", "msg=changed", "path=/api/v1.0/users"} {
			if !strings.Contains(log, want) {
				t.Errorf("no %s in %s", want, log)
			}
		}
		for _, secret := range []string{"00112233445566778899aabbccddeeff", "not the right one", password, r.token} {
			if strings.Contains(log, secret) {
				t.Errorf("%s is in the log", secret)
			}
		}
		if n := strings.Count(log, "msg=refused"); n > 30 {
			t.Errorf("%d lines about refusals", n)
		}
	})
}

// BenchmarkSignIn is the cost of a sign-in: argon2id, on one core.
