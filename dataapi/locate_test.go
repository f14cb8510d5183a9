package dataapi

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// places of three gateways, and one that is unknown.
func places(g radio.EUI64) (Position, bool) {
	p, ok := map[byte]Position{1: {Lat: 10, Lng: 179.9}, 2: {Lat: 10, Lng: -179.9}, 3: {Lat: 11, Lng: 179.9}}[g[7]]
	return p, ok
}

// heardBy is an uplink as a gateway hears it.
func heardBy(gateway byte, rssi radio.DBm, duplicate bool) *nsedge.UplinkEvent {
	ev := realEvent()
	ev.Gateway = radio.EUI64{7: gateway}
	ev.Radio.RSSI, ev.Radio.SNR, ev.Duplicate = rssi, 5, duplicate
	return ev
}

func TestADeviceIsLocatedNearTheGatewaysThatHearIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Position: places})
		c := r.connect("types=location")
		next := func() (lat, lng, precision, quality float64) {
			e := r.next(c)
			s := e.Params["solutions"].([]any)[0].(map[string]any)
			if e.Type != "location" || s["method"] != "simple:moving" || e.Meta["device"] != euiText {
				t.Errorf("%v", e)
			}
			return s["lat"].(float64), s["lng"].(float64), s["precision"].(float64), s["quality"].(float64)
		}
		r.Publish(heardBy(9, -80, false)) // nobody knows where that gateway is
		r.Publish(heardBy(1, -114.95, false))
		// 14 dBm and a loss of 128.95 dB: 1 km by the published model.
		if lat, lng, precision, quality := next(); lat != 10 || lng != 179.9 || precision != 1000 || quality != 1 {
			t.Errorf("one gateway: %v %v ±%v m, quality %v", lat, lng, precision, quality)
		}
		r.Publish(heardBy(2, -114.95, true)) // the same well: halfway, across the date line
		r.Publish(heardBy(1, -114.95, false))
		if lat, lng, _, quality := next(); lat != 10 || math.Abs(lng) != 180 || quality != 2 {
			t.Errorf("two gateways: %v %v, quality %v", lat, lng, quality)
		}
		r.Publish(heardBy(3, -94.95, true)) // ten times the amplitude
		r.Publish(heardBy(1, -114.95, false))
		if lat, _, precision, quality := next(); math.Abs(lat-(10+10.0/12)) > 1e-6 || quality != 3 || precision > 400 {
			t.Errorf("three gateways: %v ±%v m, quality %v", lat, precision, quality)
		}
		c.Close()
		time.Sleep(heardFor + time.Second)
		c = r.connect("types=location")
		r.Publish(heardBy(1, -60, false))
		if lat, _, precision, quality := next(); lat != 10 || quality != 1 || precision != 10 {
			t.Errorf("later: %v ±%v m, quality %v", lat, precision, quality)
		}
	})
}

func TestTheLocatorIsBounded(t *testing.T) {
	l := locator{position: func(radio.EUI64) (Position, bool) { return Position{}, true }}
	ev := realEvent()
	for g := range mostHearing + 5 {
		ev.Gateway = radio.EUI64{byte(g)}
		l.locate(ev)
	}
	if n := len(l.heard[ev.Device]); n != mostHearing {
		t.Errorf("%d gateways of a device are remembered", n)
	}
	for i := range mostLocated + 10 {
		ev.Device = radio.EUI64{byte(i), byte(i >> 8)}
		l.locate(ev)
	}
	if n := len(l.heard); n != mostLocated {
		t.Errorf("%d devices are remembered", n)
	}
}
