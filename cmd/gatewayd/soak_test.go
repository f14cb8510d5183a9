package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/concentrator"
	"gatewayd/concentrator/sx1302sim"
	"gatewayd/nsedge/enddevice"
)

// Devices that live by themselves, duty cycle, ADR and all, for an hour of
// virtual time. Frames meet in the air now and then, and a gateway that
// transmits hears nobody; so a few are lost. But none comes twice, and every
// downlink is where it belongs.
func TestAnHourOfTraffic(t *testing.T) {
	o := demoOptions{last: time.Hour, devices: usual(3), json: true}
	if raceEnabled || testing.Short() {
		o.last = 5 * time.Minute
	}
	last := map[string]uint32{}
	uplinks, lost, told := 0, 0, tally{}
	for text := range strings.Lines(demoFor(t, o)) {
		var l struct {
			Event, Device, Text string
			Detail              struct {
				Counter uint32 `json:"counter_up"`
				tally
			}
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		switch l.Event {
		case "uplink":
			before, ok := last[l.Device]
			if ok && l.Detail.Counter <= before {
				t.Errorf("%s: uplink #%d after #%d", l.Device, l.Detail.Counter, before)
			}
			if ok {
				lost += int(l.Detail.Counter - before - 1)
			}
			last[l.Device] = l.Detail.Counter
			uplinks++
		case "summary":
			told = l.Detail.tally
		}
	}
	t.Logf("%d uplinks, %d lost in the air; %+v", uplinks, lost, told)
	if len(last) != len(o.devices) || uplinks < int(o.last/(20*time.Second))*len(o.devices) || lost*50 > uplinks {
		t.Errorf("%d uplinks of %d devices, %d lost", uplinks, len(last), lost)
	}
	if told.OffTime > 0 || told.HeardOff > 0 || told.Heard < told.Downlinks-1 || told.Failed*50 > uplinks {
		t.Errorf("%+v", told)
	}
}

// The log may be sent to anybody: it holds no key, no token and no payload,
// in any notation, not even at its most talkative.
func TestTheLogHoldsNoSecrets(t *testing.T) {
	var log bytes.Buffer
	var secrets []string
	secret := func(b []byte) {
		secrets = append(secrets, hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b), fmt.Sprint(b), string(b))
	}
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	inBubble(t, setup{log: logger}, func(w *world) {
		app := w.connect("", func(a *as, m asMessage) {
			if m.Type == "downlink_request" {
				a.answer(m, "secret answer", nil)
			}
		})
		defer app.close()
		dev := w.device(1, false, func(c *enddevice.Config) { secret(c.AppKey[:]) })
		defer dev.Close()
		w.must(dev.Join(w.ctx))
		if _, err := dev.Send(w.ctx, 1, []byte("secret question"), true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		session := dev.State().Session
		secret(session.NwkSKey[:])
		secret(session.AppSKey[:])
		secret([]byte(w.token))
	})
	secret([]byte("secret question"))
	secret([]byte("secret answer"))
	for _, s := range secrets {
		if strings.Contains(log.String(), s) {
			t.Errorf("%q is in the log", s)
		}
	}
	if !strings.Contains(log.String(), "020000fffe000001") {
		t.Errorf("the device isn't in the log either: the test looks at the wrong one\n%s", log.String())
	}
}

// A chip that is gone for good: the daemon says so while it tries, and ends
// with the driver's diagnosis when it has tried often enough.
func TestDaemonGivesUpOnAChipThatNeverComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, setup{})
		defer w.close()
		d, err := newDaemon(w.cfg, w.parts)
		w.must(err)
		done := make(chan error, 1)
		go func() { done <- d.Run(t.Context()) }()
		<-d.conc.Started()
		w.chip.Faults().Set(func(m *sx1302sim.Misbehaviour) { m.Answer = sx1302sim.AnswerZeroes })
		time.Sleep(20 * time.Second)
		client := http.Client{Transport: &http.Transport{DialContext: w.api.Dial, DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gw/readyz", nil)
		w.must(err)
		resp, err := client.Do(req)
		w.must(err)
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		w.must(err)
		w.must(resp.Body.Close())
		if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body.String(), "concentrator") {
			t.Errorf("readyz: %d %s", resp.StatusCode, body.String())
		}
		began := time.Now()
		if err := <-done; !errors.Is(err, concentrator.ErrNoChip) || !strings.Contains(err.Error(), "concentrator") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 20*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}
