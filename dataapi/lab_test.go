package dataapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
)

// fakeLab knows two verbs.
type fakeLab struct{}

func (fakeLab) Words() map[string]string {
	return map[string]string{"faults": "list them", "expect_uplink": "wait"}
}

func (fakeLab) Call(_ context.Context, verb string, args map[string]any) (any, error) {
	switch {
	case verb == "faults":
		return []any{}, nil
	case args["port"] == 1.0:
		return map[string]any{"port": 1}, nil
	case args["port"] == 2.0:
		return nil, &LabError{errors.New("no uplink within 2m0s")}
	default:
		return nil, errors.New("wrong call: port is missing")
	}
}

func (fakeLab) Capture(_ context.Context, w io.Writer, version0 bool) error {
	_, err := io.WriteString(w, map[bool]string{false: "one", true: "zero"}[version0])
	return err
}

func (fakeLab) Keys(context.Context) (map[string]string, error) {
	return map[string]string{"session_keys_lorawan": "\"01\"\n", "root_keys_lorawan": ""}, nil
}

func (fakeLab) Listen() (<-chan any, func(), error) { return make(chan any), func() {}, nil }

func TestTheLaboratoryIsForAdministratorsAndOffByDefault(t *testing.T) {
	const verbs, capture, keys = "/api/v1.0/lab/verbs/", "/api/v1.0/lab/capture.pcapng", "/api/v1.0/lab/keys/"
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		if status, body := r.rest("GET", "/api/v1.0/lab", ""); status != http.StatusNotFound || body["code"] != codeLabOff {
			t.Errorf("without a laboratory: %d %v", status, body)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Lab: fakeLab{}})
		for _, c := range []struct {
			method, path, body string
			status             int
			code               any
		}{
			{"GET", "/api/v1.0/lab", "", http.StatusOK, nil},
			{"POST", verbs + "expect_uplink", `{"port":1}`, http.StatusOK, nil},
			{"POST", verbs + "expect_uplink", `{"port":2}`, http.StatusUnprocessableEntity, codeLabFailed},
			{"POST", verbs + "expect_uplink", "", http.StatusBadRequest, codeBadField},
			{"POST", verbs + "expect_uplink", "[]", http.StatusBadRequest, codeBadField},
			{"POST", verbs + "teleport", "{}", http.StatusNotFound, codeNotFound},
			{"GET", capture, "", http.StatusOK, nil},
			{"GET", keys + "session_keys_lorawan", "", http.StatusOK, nil},
			{"GET", keys + "others", "", http.StatusNotFound, codeNotFound},
			{"GET", capture + "?loratap=7", "", http.StatusBadRequest, codeBadParameter},
		} {
			status, body := r.rest(c.method, c.path, c.body)
			if status != c.status || body["code"] != c.code {
				t.Errorf("%s %s %s: %d %v, want %d %v", c.method, c.path, c.body, status, body, c.status, c.code)
			}
		}
		if _, body := r.rest("GET", capture+"?loratap=0", ""); body["text"] != "zero" {
			t.Errorf("capture: %v", body)
		}
		_, token, err := r.Keys().Create(Key{Rights: []Right{RightData, RightDevices}})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/api/v1.0/lab", capture, "/api/v1.0/lab/radio", keys + "root_keys_lorawan"} {
			if status, _ := r.rest("GET", path, "", "Authorization", "Bearer "+token); status != http.StatusForbidden {
				t.Errorf("%s with a key for devices: %d, want 403", path, status)
			}
		}
		if _, token, err = r.Keys().Create(Key{Rights: []Right{RightKeys}}); err != nil {
			t.Fatal(err)
		}
		if status, _ := r.rest("GET", keys+"root_keys_lorawan", "", "Authorization", "Bearer "+token); status != http.StatusForbidden {
			t.Errorf("the keys of devices without the right secrets: %d, want 403", status)
		}
	})
}
