package dataapi

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// scopeRig has two devices, and a key that is confined to the first.
func scopeRig(t *testing.T, key string) (r *rig, mine, other radio.EUI64) {
	t.Helper()
	r = start(t, Config{})
	mine, other = mustEUI("0102030405060701"), mustEUI("0102030405060702")
	r.edge.put(nsedge.Device{DevEUI: mine, AppEUI: mustEUI("a100000000000000"), Tags: []string{"a", "b"}})
	r.edge.put(nsedge.Device{DevEUI: other, AppEUI: mustEUI("a200000000000000"), Tags: []string{"c"}})
	status, body := r.rest("POST", "/api/v1.0/keys", key)
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, body)
	}
	r.token = body["key"].(map[string]any)["access_token"].(string)
	return r, mine, other
}

// say publishes an uplink and a request of a device.
func (r *rig) say(device radio.EUI64, hash byte) {
	r.Helper()
	d, err := r.edge.Device(r.Context(), device)
	if err != nil {
		r.Fatal(err)
	}
	m := nsedge.Meta{Device: device, Application: d.AppEUI, Tags: d.Tags, PacketHash: hex32(hash), Time: time.Now(), DevAddr: nsedge.DevAddr{1, 2, 3, 4}, Gateway: mustEUI("0016c001ff100001")}
	r.Publish(&nsedge.DownlinkRequest{Meta: m, TXTime: time.Now(), Deadline: time.Now(), MaxSize: 51})
	r.Publish(&nsedge.JoinRequest{Meta: m, DevAddr: m.DevAddr})
}

func TestAConfinedKeyHearsAndAnswersOnlyItsScope(t *testing.T) {
	for name, key := range map[string]string{
		"devices":      `{"rights":["data","devices"],"scope":{"devices":["0102030405060701"]}}`,
		"applications": `{"rights":["data","devices"],"scope":{"applications":"A100000000000000"}}`,
		"tags":         `{"rights":["data","devices"],"scope":{"tags":"b,x"}}`,
		"permissions":  `{"permissions":{"devices":{"0102030405060701":["create","read","update","delete"]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, mine, other := scopeRig(t, key)
				r.say(other, 1)
				r.say(mine, 2)
				synctest.Wait()
				// Whatever the connection asks for; and the past, too.
				for _, query := range []string{"", "tags=a,c", "last_messages=10"} {
					c := r.connect(query)
					if query != "last_messages=10" {
						r.say(other, 3)
						r.say(mine, 4)
					}
					for range 2 {
						if e := r.next(c); e.Meta["device"] != mine.String() {
							t.Fatalf("%s: hears of %v", query, e.Meta["device"])
						}
					}
				}
				r.confinedAnswers(mine, other)
				r.confinedREST(mine, other)
			})
		})
	}
}

func (r *rig) confinedAnswers(mine, other radio.EUI64) {
	c := r.connect("")
	r.say(other, 5)
	r.say(mine, 6)
	r.next(c)
	before := len(r.edge.taken())
	for _, refused := range []string{
		`{"type":"downlink_response","meta":{"packet_hash":"` + hex32(5).String() + `"},"params":{"payload":""}}`,
		`{"type":"downlink_response","meta":{"packet_hash":"` + hex32(5).String() + `","device":"` + mine.String() + `"},"params":{"payload":""}}`,
		`{"type":"downlink_response","meta":{"device":"` + other.String() + `"},"params":{"payload":""}}`,
		`{"type":"downlink_claim","meta":{"device":"` + other.String() + `"}}`,
		`{"type":"status_request","meta":{"device":"` + other.String() + `"}}`,
		`{"type":"status_request","meta":{"device":"0000000000000001"}}`,
	} {
		r.send(c, refused)
		for e := r.next(c); e.Type != "error"; e = r.next(c) { // what was published before
		}
		if n := len(r.edge.taken()); n != before {
			r.Fatalf("%s is taken", refused)
		}
	}
	for _, taken := range []string{
		`{"type":"downlink_response","meta":{"packet_hash":"` + hex32(6).String() + `"},"params":{"payload":""}}`,
		`{"type":"downlink_response","meta":{"device":"` + mine.String() + `"},"params":{"payload":""}}`,
		`{"type":"downlink_claim","meta":{"device":"` + mine.String() + `"}}`,
	} {
		r.send(c, taken)
		synctest.Wait()
		if n := len(r.edge.taken()); n != before+1 {
			r.Fatalf("%s is refused", taken)
		}
		before++
	}
}

func (r *rig) confinedREST(mine, other radio.EUI64) {
	_, list := r.rest("GET", devicesPath, "")
	if list["total"] != 1.0 {
		r.Errorf("devices: %v", list)
	}
	for _, c := range []struct {
		method, path, body string
		status             []int
	}{
		{"GET", "/" + mine.String(), "", []int{200}},
		{"PATCH", "/" + mine.String(), `{"block_uplink":true}`, []int{200}},
		{"GET", "/" + other.String(), "", []int{403, 404}},
		{"PATCH", "/" + other.String(), `{"block_uplink":true}`, []int{403, 404}},
		{"DELETE", "/" + other.String(), "", []int{403, 404}},
		{"POST", "", `{"dev_eui":"0102030405060703","app_eui":"a200000000000000","tags":["c"]}`, []int{403}},
	} {
		status, body := r.rest(c.method, devicesPath+c.path, c.body)
		if status != c.status[0] && status != c.status[len(c.status)-1] {
			r.Errorf("%s %s: %d %v", c.method, c.path, status, body)
		}
	}
}

// A request is the key's, not the connection's: one that writes may be another
// than the one that reads.
func TestAConfinedKeyAnswersOnAnyOfItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine, other := scopeRig(t, `{"rights":["data"],"scope":{"devices":"0102030405060701"}}`)
		r.say(mine, 1)
		r.say(other, 2)
		synctest.Wait()
		c := r.connect("types=error")
		r.send(c, `{"type":"downlink_response","meta":{"packet_hash":"`+hex32(1).String()+`"},"params":{"payload":""}}`)
		r.send(c, `{"type":"downlink_response","meta":{"packet_hash":"`+hex32(2).String()+`"},"params":{"payload":""}}`)
		if e := r.next(c); e.Params["code"] != codeForbidden || e.Meta["packet_hash"] != hex32(2).String() {
			t.Errorf("%v", e)
		}
		if n := len(r.edge.taken()); n != 1 {
			t.Errorf("%d answers taken", n)
		}
	})
}

// Section of the contract's keys: a join server may see only joins.
func TestAJoinServersKeySeesOnlyJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mine, _ := scopeRig(t, `{"rights":["data"],"scope":{"types":"join_request"}}`)
		c := r.connect("")
		r.say(mine, 1)
		if e := r.next(c); e.Type != "join_request" {
			t.Errorf("hears %s", e.Type)
		}
		r.send(c, `{"type":"downlink_response","meta":{"packet_hash":"`+hex32(1).String()+`"},"params":{"payload":""}}`)
		if e := r.next(c); e.Type != "error" || e.Params["code"] != codeForbidden {
			t.Errorf("%v", e)
		}
		r.send(c, `{"type":"join_response","meta":{"packet_hash":"`+hex32(1).String()+`"},"params":{"nwkskey":"00000000000000000000000000000000","accept_payload":"AAAAAAAAAAAAAAAAAAAAAA=="}}`)
		synctest.Wait()
		if n := len(r.edge.taken()); n != 1 {
			t.Errorf("%d answers taken", n)
		}
	})
}

func TestAScopeIsCheckedKeptAndLifted(t *testing.T) {
	r := start(t, Config{})
	for bad, field := range map[string]string{
		`{"scope":{"devices":"xyz"}}`: "scope.devices", `{"scope":{"types":"uplinks"}}`: "scope.types", `{"scope":7}`: "scope", `{"scope":{"tags":7}}`: "scope.tags",
	} {
		if status, body := r.rest("POST", "/api/v1.0/keys", bad); status != http.StatusBadRequest || body["field"] != field {
			t.Errorf("%s: %d %v", bad, status, body)
		}
	}
	_, body := r.rest("POST", "/api/v1.0/keys", `{"rights":["data"],"scope":{"tags":["a","b"]}}`)
	key := body["key"].(map[string]any)
	path := "/api/v1.0/keys/" + key["id"].(string)
	_, body = r.rest("PATCH", path, `{"scope":{"types":"uplink"}}`)
	if scope := body["key"].(map[string]any)["scope"].(map[string]any); scope["tags"] != "a,b" || scope["types"] != "uplink" {
		t.Errorf("%v", body)
	}
	if _, body = r.rest("PATCH", path, `{"scope":null}`); body["key"].(map[string]any)["scope"] != nil {
		t.Errorf("%v", body)
	}
}
