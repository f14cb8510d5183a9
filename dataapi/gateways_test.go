package dataapi

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
)

func TestGatewaysOfTheSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := nsedge.ClassBState{Mode: nsedge.ClassBAuto, Why: "no time", Sent: 3, Last: time.Unix(1_700_000_000, 500_000_000)}
		r := start(t, Config{
			Gateways: func() []Gateway { return []Gateway{{mustEUI("b0fd0b7002640000"), "AU915-1", true, &state}} },
			Position: testEncoder(t).position,
		})
		const path = "/api/v1.0/gateways"
		status, body := r.rest("GET", path, "")
		if status != http.StatusOK || body["total"] != 1.0 || len(body["gateways"].([]any)) != 1 {
			t.Fatalf("%d %v", status, body)
		}
		status, body = r.rest("GET", path+"/B0FD0B7002640000", "")
		g, _ := body["gateway"].(map[string]any)
		if status != http.StatusOK || len(body) != 1 || g["id"] != "b0fd0b7002640000" || g["network"] != testNetwork || g["band"] != "AU915-1" || g["online"] != true || g["geolocation"].(map[string]any)["alt"] != 954.0 {
			t.Errorf("%d %v", status, body)
		}
		b, _ := g["class_b"].(map[string]any)
		if b["active"] != false || b["why"] != "no time" || b["sent"] != 3.0 || b["time_source"] != "none" || b["last_beacon"] != 1_700_000_000.5 {
			t.Errorf("%v", b)
		}
		if status, body = r.rest("GET", path+"/0000000000000001", ""); status != http.StatusNotFound {
			t.Errorf("%d %v", status, body)
		}
		weak := r.key(Key{Rights: []Right{RightData}})
		if status, body = r.rest("GET", path, "", "Authorization", "Bearer "+weak); status != http.StatusForbidden {
			t.Errorf("%d %v", status, body)
		}
	})
}

func TestABandIsFoundByOtherNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{BandNamed: func(name string) (Band, bool) {
			return Band{Names: []string{"US902-928"}, Channels: []BandChannel{{DataRates: []int{0, 1}}}}, name == "US902-928B"
		}})
		status, body := r.rest("GET", "/api/v1.0/bands/US902-928B", "")
		if status != http.StatusOK || len(body["band"].(map[string]any)["channels"].([]any)) != 1 {
			t.Errorf("%d %v", status, body)
		}
		if status, _ = r.rest("GET", "/api/v1.0/bands/US902-928Z", ""); status != http.StatusNotFound {
			t.Errorf("%d", status)
		}
	})
}
