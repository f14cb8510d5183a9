package dataapi

import (
	"errors"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
)

func TestKeysOutliveTheProcessAndOnlyTheirHashIsKept(t *testing.T) {
	documents := &memory{}
	s, err := New(Config{Documents: documents})
	if err != nil {
		t.Fatal(err)
	}
	made, token, err := s.Keys().Create(Key{Description: "weather", Rights: []Right{RightData}})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(token) {
		t.Errorf("token of the wrong form: %d characters", len(token))
	}
	for _, b := range documents.buckets {
		for _, text := range b {
			if strings.Contains(string(text), token) {
				t.Errorf("the token is stored in clear: %s", text)
			}
		}
	}
	again, err := New(Config{Documents: documents})
	if err != nil {
		t.Fatal(err)
	}
	if again.Network() != s.Network() || len(s.Network()) != 32 {
		t.Errorf("the network was %s and is %s", s.Network(), again.Network())
	}
	k, ok := again.Keys().Lookup(token)
	if !ok || !reflect.DeepEqual(*k, made) {
		t.Errorf("found %+v, made %+v", k, made)
	}
	if err := again.Keys().Revoke(made.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := again.Keys().Lookup(token); ok {
		t.Error("a revoked key is still good")
	}
	if err := again.Keys().Revoke(made.ID); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("revoked twice: %v", err)
	}
	if third, err := OpenKeys(documents); err != nil || len(third.List()) != 0 {
		t.Errorf("after a restart: %v, %v", third.List(), err)
	}
}

func TestRights(t *testing.T) {
	all := []string{create, read, update, remove}
	everynet := Permissions{"devices": {"*": {read, update}}}
	one := Permissions{"devices": {euiText: {read}}}
	for _, c := range []struct {
		name                       string
		key                        Key
		connect, list, write, keys bool
	}{
		{"data", Key{Rights: []Right{RightData}}, true, false, false, false},
		{"devices", Key{Rights: []Right{RightDevices}}, false, true, true, false},
		{"devices and secrets", Key{Rights: []Right{RightDevices, RightSecrets}}, false, true, true, true},
		{"Everynet's read and update", Key{Permissions: everynet}, true, true, true, true},
		{"Everynet's data", Key{Permissions: Permissions{"data": {"*": all}}}, true, false, false, false},
		{"one device", Key{Permissions: one}, true, true, false, true},
		{"an empty list", Key{Permissions: Permissions{"devices": {"*": {}}}}, false, false, false, false},
		{"nothing", Key{}, false, false, false, false},
	} {
		k := c.key
		got := []bool{k.MayConnect(), k.mayList("devices"), k.May("devices", update, strings.ToUpper(euiText)), k.SeesSecrets(euiText)}
		if want := []bool{c.connect, c.list, c.write, c.keys}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: connect, list, write, secrets = %v, want %v", c.name, got, want)
		}
	}
}

func TestParseRights(t *testing.T) {
	got, err := ParseRights("data, Devices,,data")
	if err != nil || !reflect.DeepEqual(got, []Right{RightData, RightDevices}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ParseRights("data,root"); err == nil || !strings.Contains(err.Error(), `"root"`) || !strings.Contains(err.Error(), "secrets") {
		t.Errorf("an unknown right: %v", err)
	}
}

func TestKeysResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		const path = "/api/v1.0/keys"
		status, body := r.rest("POST", path, `{"description":"d","user_id":"u","org":"o","permissions":{"devices":{"*":["read"]},"filters":{"*":[]}}}`)
		key := body["key"].(map[string]any)
		token, _ := key["access_token"].(string)
		if status != http.StatusCreated || len(body) != 1 || len(token) != 32 || key["user_id"] != "u" || key["org"] != "o" || key["description"] != "d" {
			t.Fatalf("%d %v", status, body)
		}
		if want := map[string]any{"devices": map[string]any{"*": []any{"read"}}, "filters": map[string]any{"*": []any{}}}; !reflect.DeepEqual(key["permissions"], want) {
			t.Errorf("permissions %v", key["permissions"])
		}
		one := path + "/" + key["id"].(string)
		if status, body = r.rest("GET", one, ""); status != http.StatusOK || body["key"].(map[string]any)["access_token"] != nil {
			t.Errorf("the token is shown again: %d %v", status, body)
		}
		if status, body = r.rest("GET", path+"?limit=1", ""); status != http.StatusOK || body["total"] != 2.0 || len(body["keys"].([]any)) != 1 {
			t.Errorf("%d %v", status, body)
		}
		if status, _ = r.rest("GET", "/api/v1.0/devices", "", "Authorization", "Bearer "+token); status != http.StatusOK {
			t.Errorf("the new key can't list devices: %d", status)
		}
		if status, body = r.rest("GET", path, "", "Authorization", "Bearer "+token); status != http.StatusForbidden || body["code"] != codeForbidden {
			t.Errorf("the new key may list keys: %d %v", status, body)
		}
		if status, body = r.rest("PATCH", one, `{"key":{"description":"e","rights":["data"],"permissions":{}}}`); status != http.StatusOK || body["key"].(map[string]any)["description"] != "e" {
			t.Errorf("%d %v", status, body)
		}
		if status, _ = r.rest("GET", "/api/v1.0/devices", "", "Authorization", "Bearer "+token); status != http.StatusForbidden {
			t.Errorf("after PATCH the key still lists devices: %d", status)
		}
		if status, body = r.rest("DELETE", one, ""); status != http.StatusNoContent || body != nil {
			t.Errorf("%d %v", status, body)
		}
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			if status, body = r.rest(method, one, `{}`); status != http.StatusNotFound {
				t.Errorf("%s of a deleted key: %d %v", method, status, body)
			}
		}
		for _, c := range []struct{ text, field string }{
			{`{"rights":["root"]}`, "rights"}, {`{"rights":"data"}`, "rights"}, {`{"permissions":[]}`, "permissions"}, {`{"description":{}}`, "description"}, {`[]`, ""}, {`{"key":7}`, "key"},
		} {
			status, body = r.rest("POST", path, c.text)
			if field, _ := body["field"].(string); status != http.StatusBadRequest || field != c.field {
				t.Errorf("%s: %d %v", c.text, status, body)
			}
		}
	})
}

// failing fails from the nth Put on.
type failing struct {
	memory
	left int
}

func (f *failing) Put(bucket string, key, value []byte) error {
	if f.left--; f.left < 0 {
		return errBroken
	}
	return f.memory.Put(bucket, key, value)
}
func (f *failing) Delete(string, []byte) error { return errBroken }

func TestAKeyThatCouldNotBeStoredDoesNotWork(t *testing.T) {
	k, err := OpenKeys(&failing{left: 1})
	if err != nil {
		t.Fatal(err)
	}
	kept, token, err := k.Create(Key{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Create(Key{}); !errors.Is(err, errBroken) || len(k.List()) != 1 {
		t.Errorf("%v; %d keys", err, len(k.List()))
	}
	if _, err := k.Update(kept.ID, func(k *Key) error { k.Description = "x"; return nil }); !errors.Is(err, errBroken) {
		t.Errorf("update: %v", err)
	}
	if err := k.Revoke(kept.ID); !errors.Is(err, errBroken) {
		t.Errorf("revoke: %v", err)
	}
	if again, ok := k.Lookup(token); !ok || again.Description != "" {
		t.Errorf("the stored key changed: %v", again)
	}
}

func TestDamagedKeysAreNamed(t *testing.T) {
	for _, text := range []string{`{`, `{"id":"k1","hash":"00"}`} {
		d := &memory{}
		if err := d.Put(keysBucket, []byte("k1"), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Documents: d}); err == nil || !strings.Contains(err.Error(), "k1") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestABadNetworkIsRefused(t *testing.T) {
	for _, n := range []string{"0", "xyz", "0102030405"} {
		if _, err := New(Config{Network: n}); err == nil || !strings.Contains(err.Error(), "8 or 32 hex digits") {
			t.Errorf("%s: %v", n, err)
		}
	}
	if _, err := New(Config{Documents: &failing{}}); !errors.Is(err, errBroken) {
		t.Errorf("a network that can't be kept: %v", err)
	}
}
