package dataapi

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
)

// ask publishes a request whose deadline is so far ahead.
func (r *rig) ask(hash byte, ahead time.Duration) {
	r.Publish(&nsedge.DownlinkRequest{Meta: nsedge.Meta{Device: mustEUI(euiText), PacketHash: hex32(hash), Time: time.Now()},
		TXTime: time.Now().Add(ahead), Deadline: time.Now().Add(ahead)})
}

func TestHowEarlyApplicationsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("types=downlink_request")
		answer := func(meta string, after time.Duration) {
			r.next(c)
			time.Sleep(after)
			r.send(c, `{"type":"downlink_response","meta":{`+meta+`},"params":{"payload":""}}`)
			synctest.Wait()
		}
		r.ask(1, time.Second)
		answer(`"packet_hash":"`+hex32(1).String()+`"`, 700*time.Millisecond)
		r.ask(2, time.Second)
		answer(`"device":"`+euiText+`"`, 1010*time.Millisecond) // too late, without a hash
		r.ask(3, 10*time.Minute)                                // a claim
		answer(`"packet_hash":"`+hex32(3).String()+`"`, time.Second)
		answerOfNothing := `{"type":"downlink_response","meta":{"packet_hash":"` + hex32(9).String() + `"},"params":{"payload":""}}`
		r.send(c, answerOfNothing)
		synctest.Wait()

		status, body := r.rest(http.MethodGet, "/api/v1.0/answers?devices="+euiText, "")
		want := map[string]any{"id": euiText, "answers": 2.0, "late": 1.0, "last": -0.01, "least": -0.01, "mean": 0.145,
			"histogram": []any{1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0}}
		if status != http.StatusOK || !reflect.DeepEqual(body["devices"], []any{want}) {
			t.Errorf("%d %v, want %v", status, body, want)
		}
		want["id"] = r.Keys().List()[0].ID
		if !reflect.DeepEqual(body["applications"], []any{want}) {
			t.Errorf("%v, want %v", body["applications"], want)
		}
		_, body = r.rest(http.MethodGet, "/api/v1.0/answers?devices=0000000000000001", "")
		if d := body["devices"]; len(d.([]any)) != 0 {
			t.Errorf("devices that were not asked for: %v", d)
		}
		_, figures := r.rest(http.MethodGet, "/metrics", "")
		for _, line := range []string{fmt.Sprintf(`answer_lead_seconds_bucket{application="%s",le="0"} 1`, want["id"]), `le="0.5"} 2`} {
			if !strings.Contains(figures["text"].(string), line) {
				t.Errorf("no %s in the figures", line)
			}
		}
		elsewhere := r.key(Key{Rights: []Right{RightData}, Scope: &lists{Devices: "0000000000000001"}})
		if _, body = r.rest(http.MethodGet, "/api/v1.0/answers", "", "Authorization", "Bearer "+elsewhere); body["total"] != 0.0 || len(body["applications"].([]any)) != 0 {
			t.Errorf("a confined key sees %v", body)
		}
		if err := r.Keys().Revoke(r.Keys().List()[0].ID); err != nil {
			t.Fatal(err)
		}
		if n := len(r.leads.byAS); n != 0 {
			t.Errorf("%d applications are remembered, their key is gone", n)
		}
	})
}

func TestLeadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		for i := range mostRequests + 100 {
			m := nsedge.Meta{PacketHash: nsedge.PacketHash{byte(i), byte(i >> 8), 1}}
			m.Device[0], m.Device[1] = byte(i), byte(i>>8)
			r.requests.note(&nsedge.DownlinkRequest{Meta: m, Deadline: time.Now().Add(time.Second)})
			r.leads.answered(fmt.Sprint(i), nsedge.DownlinkResponse{PacketHash: m.PacketHash})
		}
		if a, as, units := len(r.requests.byHash), len(r.leads.byAS), len(r.leads.byUnit); a != mostRequests || as != mostLeads || units != mostLeads {
			t.Errorf("%d requests, %d applications, %d devices", a, as, units)
		}
		time.Sleep(requestsFor + 2*time.Second)
		r.requests.note(&nsedge.DownlinkRequest{Deadline: time.Now().Add(time.Second)})
		if n := len(r.requests.byHash); n != 1 || len(r.requests.order) != 1 {
			t.Errorf("%d requests after a minute", n)
		}
	})
}
