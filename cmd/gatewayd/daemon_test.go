package main

import (
	"encoding/base64"
	"testing"
	"time"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// The main job, from antenna to application and back inside the same receive
// window: a device joins through the real driver on the simulated chip, sends,
// and hears the application's answer in RX1 to the microsecond.
func TestDeviceJoinsSendsAndHearsTheAnswerInRX1(t *testing.T) {
	inBubble(t, setup{}, func(w *world) {
		app := w.connect("&radio=1", func(a *as, m asMessage) {
			if m.Type == "downlink_request" {
				a.answer(m, "hello device", nil)
			}
		})
		defer app.close()

		var joined []enddevice.Joined
		dev := w.device(1, false, func(c *enddevice.Config) {
			c.Events = func(e enddevice.Event) {
				if j, ok := e.(enddevice.Joined); ok {
					joined = append(joined, j)
				}
			}
		})
		defer dev.Close()
		w.must(dev.Join(w.ctx))
		if len(joined) != 1 || joined[0].Window != "RX1" || joined[0].Delay != 5*time.Second {
			t.Fatalf("join-accept: %+v, want one in RX1 exactly 5 s after the request", joined)
		}

		r, err := dev.Send(w.ctx, 3, []byte("hello network"), false)
		w.must(err)
		switch d := r.Downlink; {
		case d == nil:
			t.Fatal("no downlink")
		case string(d.Payload) != "hello device" || d.Port != 7:
			t.Errorf("downlink %q on port %d", d.Payload, d.Port)
		case d.Window != "RX1" || d.Delay != time.Second || d.Offset != 0:
			t.Errorf("downlink in %s after %v, %v off; want RX1 after exactly 1 s", d.Window, d.Delay, d.Offset)
		}

		time.Sleep(time.Second)
		up := app.all("uplink")
		if len(up) != 1 || up[0].text("payload") != base64.StdEncoding.EncodeToString([]byte("hello network")) || up[0].number("port") != 3 {
			t.Errorf("uplinks at the AS: %v", up)
		}
		// The first was the join-accept.
		if down := app.all("downlink"); len(down) != 2 || down[1].text("payload") != base64.StdEncoding.EncodeToString([]byte("hello device")) {
			t.Errorf("downlinks at the AS: %v", down)
		}
		if bad := app.all("error"); len(bad) != 0 {
			t.Errorf("errors: %v", bad)
		}
	})
}

// An ABP device's confirmed uplink is acknowledged although nobody answers.
func TestConfirmedUplinkIsAcknowledgedWithoutAnAS(t *testing.T) {
	inBubble(t, setup{}, func(w *world) {
		dev := w.device(2, true, nil)
		defer dev.Close()
		r, err := dev.Send(w.ctx, 1, []byte("x"), true)
		w.must(err)
		if !r.Acked || r.Downlink == nil || r.Downlink.Offset != 0 || len(r.Uplinks) != 1 {
			t.Errorf("%+v, want an acknowledgement of the first attempt, in time", r)
		}
	})
}

// The gateway transmits exactly where the air protocol's example says:
// downlink.start_us - uplink.end_us == 1_000_000.
func TestTheAirConfirmsTheInstant(t *testing.T) {
	inBubble(t, setup{}, func(w *world) {
		var down []air.Transmission
		defer w.watchGateway(func(t air.Transmission) { down = append(down, t) })()
		dev := w.device(3, true, nil)
		defer dev.Close()
		r, err := dev.Send(w.ctx, 1, []byte("x"), true)
		w.must(err)
		if len(down) != 1 || down[0].Start-r.Uplinks[0].End != 1_000_000 {
			t.Errorf("transmissions %v after an uplink that ended at %d", down, r.Uplinks[0].End)
		}
		if m, ok := down[0].Mod.(radio.LoRa); !ok || !m.InvertIQ {
			t.Errorf("modulation %+v, want inverted I/Q", down[0].Mod)
		}
	})
}

// What the configuration says of the gateway shows at the application, and
// the network works under another EUI than the chip's.
func TestGatewayHasTheNameAndPlaceOfItsConfiguration(t *testing.T) {
	change := func(c *config.Config) {
		c.Gateway.EUI = "00-16-C0-01-FF-10-00-01"
		c.Gateway.Latitude, c.Gateway.Longitude, c.Gateway.Altitude = 48.5, 9.25, 312
		c.Gateway.AntennaGain = 3
		c.Network.ID = "A1B2C3D4"
	}
	inBubble(t, setup{change: change}, func(w *world) {
		var power radio.DBm
		defer w.watchGateway(func(t air.Transmission) { power = t.Power })()
		app := w.connect("&radio=1&types=uplink", nil)
		defer app.close()
		dev := w.device(4, true, nil)
		defer dev.Close()
		r, err := dev.Send(w.ctx, 1, []byte("x"), true)
		w.must(err)
		if !r.Acked {
			t.Error("no acknowledgement")
		}
		if want := radio.DBm(13); power != want { // 16 dBm EIRP less the antenna's gain
			t.Errorf("%v dBm at the connector, want %v", power, want)
		}
		time.Sleep(time.Second)
		up := app.all("uplink")
		if len(up) != 1 {
			t.Fatalf("%d uplinks", len(up))
		}
		if up[0].Meta["gateway"] != "0016c001ff100001" || up[0].Meta["network"] != "a1b2c3d4" {
			t.Errorf("meta %v", up[0].Meta)
		}
		hardware, _ := up[0].Params["radio"].(map[string]any)["hardware"].(map[string]any)
		gps, _ := hardware["gps"].(map[string]any)
		if gps["lat"] != 48.5 || gps["lng"] != 9.25 || gps["alt"] != 312.0 {
			t.Errorf("position %v", hardware)
		}
	})
}
