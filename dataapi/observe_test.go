package dataapi

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// noted is an observer that keeps what it is told.
type noted struct {
	mu  sync.Mutex
	all []string
}

func (n *noted) Message(way, who string, text []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, strings.Join([]string{way, who, string(text)}, " "))
}

func (n *noted) Request(method, path, key string, status int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, strings.Join([]string{method, path, key, http.StatusText(status)}, " "))
}

func TestAnObserverSeesRequestsWithoutTheirSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &noted{}
		r := start(t, Config{Observer: n})
		key, token, err := r.Keys().Create(Key{Rights: []Right{RightDevices}})
		if err != nil {
			t.Fatal(err)
		}
		r.rest("GET", devicesPath+"?access_token="+token, "", "Authorization", "")
		r.rest("GET", root+"/users", "", "Authorization", "Bearer "+token)
		want := []string{"GET " + devicesPath + " " + key.ID + " OK", "GET " + root + "/users " + key.ID + " Forbidden"}
		n.mu.Lock()
		defer n.mu.Unlock()
		if !slices.Equal(n.all, want) {
			t.Errorf("%q, want %q", n.all, want)
		}
	})
}

func TestARecordingIsForAdministrators(t *testing.T) {
	const path = root + "/system/recording"
	synctest.Test(t, func(t *testing.T) {
		m := &fakeMachine{}
		r := start(t, Config{Machine: m})
		if status, body := r.rest("GET", path, ""); status != http.StatusNotFound {
			t.Errorf("without a recorder: %d %v", status, body)
		}
		m.recording = "frames"
		if status, body := r.rest("GET", path, ""); status != http.StatusOK || body["text"] != "frames" {
			t.Errorf("%d %v", status, body)
		}
		_, token, err := r.Keys().Create(Key{Rights: []Right{RightData, RightDevices}})
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := r.rest("GET", path, "", "Authorization", "Bearer "+token); status != http.StatusForbidden {
			t.Errorf("with a key for devices: %d, want 403", status)
		}
	})
}
