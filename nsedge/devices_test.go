package nsedge

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"gatewayd/radio"
)

func TestEveryWrongFieldOfADeviceIsNamed(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		for _, c := range []struct {
			field  string
			spoil  func(*Device)
			joined bool
		}{
			{"dev_eui", func(d *Device) { d.DevEUI = radio.EUI64{} }, false},
			{"activation", func(d *Device) { d.Activation = "abp" }, false},
			{"encryption", func(d *Device) { d.Encryption = "AS" }, false},
			{"dev_class", func(d *Device) { d.Class = "D" }, false},
			{"dev_addr", func(d *Device) { d.DevAddr = nil }, false},
			{"nwkskey", func(d *Device) { d.NwkSKey = nil }, false},
			{"nwkskey", func(d *Device) { d.DevAddr = &DevAddr{} }, true},
			{"app_key", func(d *Device) { d.AppKey = nil }, true},
			{"band", func(d *Device) { d.Band = "EU999" }, false},
			{"rx1.delay", func(d *Device) { d.RX1Delay = 16 }, false},
			{"adr.mode", func(d *Device) { d.ADR.Mode = "auto" }, false},
			{"adr.datarate", func(d *Device) { d.ADR.DataRate = ptr(16) }, false},
			{"adr.tx_power", func(d *Device) { d.ADR.TXPower = ptr(-1) }, false},
			{"counters_size", func(d *Device) { d.CountersSize = 3 }, false},
			{"counter_up", func(d *Device) { d.CountersSize, d.CounterUp = 2, 70_000 }, false},
			{"version", func(d *Device) { d.Version = "1.0.5" }, false},
			{"policy", func(d *Device) { d.Policy = "loose" }, false},
			{"mac", func(d *Device) { d.MAC = "off" }, false},
			{"rx1.offset", func(d *Device) { d.RX1Offset = ptr(6) }, false},
			{"rx2.datarate", func(d *Device) { d.RX2DataRate = ptr(12) }, false},
			{"rx2.freq", func(d *Device) { d.RX2Freq = 915_000_000 }, false},
			{"max_duty_cycle", func(d *Device) { d.MaxDutyCycle = ptr(16) }, false},
			{"downlink_channels", func(d *Device) { d.DownlinkChannels = []DownlinkChannel{{Index: 16, Freq: 868_100_000}} }, false},
			{"downlink_channels", func(d *Device) { d.DownlinkChannels = make([]DownlinkChannel, 17) }, false},
			{"tags", func(d *Device) { d.Tags = make([]string, maxTags+1) }, false},
			{"tags", func(d *Device) { d.Tags = []string{string(make([]byte, maxTagSize+1))} }, false},
			{"geolocation.lat", func(d *Device) { d.Geolocation = &Position{Lat: 91} }, false},
			{"geolocation.lng", func(d *Device) { d.Geolocation = &Position{Lng: -181} }, false},
			{"geolocation.precision", func(d *Device) { d.Geolocation = &Position{Precision: -1} }, false},
		} {
			d := n.abp()
			if c.joined {
				d = n.otaa(KeysAtNS)
			}
			c.spoil(&d)
			err := b.edge.CreateDevice(b.Context(), d)
			var r *Refusal
			if !errors.As(err, &r) || r.Code != CodeDeviceInvalid || r.Field != c.field {
				t.Errorf("%s: %v", c.field, err)
			}
		}
		if got := b.list(); len(got) != 0 {
			t.Errorf("%d devices were created", len(got))
		}
	})
}

func (b *bench) list() (out []Device) {
	b.Helper()
	b.must(b.edge.Devices(b.Context(), func(d Device) bool { out = append(out, d); return true }))
	return out
}

func TestADeviceIsFoundAsItWasRegisteredAlsoAfterARestart(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		d := n.abp()
		d.Class, d.Band, d.Org, d.CountersSize, d.StrictCounter = "C", "EU863-870", "acme", 2, true
		d.AppKey, d.NwkKey = &Key{1}, &Key{2}
		d.CounterUp, d.CounterDown = 100, 200
		d.Version, d.Policy = "1.0.4", PolicyStrict
		d.ADR = ADR{Mode: "static", DataRate: ptr(3), TXPower: ptr(1)}
		d.RX1Delay, d.RX2Force, d.BlockUplink, d.BlockDownlink = 3, true, true, true
		d.RX1Current, d.MAC, d.RX1Offset, d.RX2DataRate, d.RX2Freq = 3, MACHandsOff, ptr(1), ptr(3), 869_525_000
		d.MaxDutyCycle, d.DownlinkChannels = ptr(4), []DownlinkChannel{{Index: 3, Freq: 867_100_000}}
		d.Geolocation = &Position{Lat: 52.1, Lng: -0.5, Precision: 10}
		b.register(d)
		for range 2 {
			got, err := b.edge.Device(b.Context(), n.eui)
			if err != nil || !reflect.DeepEqual(got, d) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, d)
			}
			b.restart(b.store.afterPowerCut())
		}
		if err := b.edge.CreateDevice(b.Context(), d); !errors.Is(err, ErrDeviceExists) {
			t.Errorf("created twice: %v", err)
		}
	})
}

func TestDeviceCallsWorkBeforeRunAndAfterIt(t *testing.T) {
	e, err := New(testConfig(t, newStore()), newAir(), func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.CreateDevice(t.Context(), newNode(nil, 1).abp()); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Device(t.Context(), newNode(nil, 1).eui); err != nil {
			t.Error(err)
		}
		var r *Refusal
		if err := e.Answer(t.Context(), StatusRequest{}); !errors.As(err, &r) || r.Code != CodeStopped {
			t.Errorf("answer while stopped: %v", err)
		}
		if err := e.DeleteDevice(t.Context(), newNode(nil, 1).eui); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestDevicesAreListedInOrderAcrossPages(t *testing.T) {
	scenario(t, func(b *bench) {
		const count = 3*devicePage + 5
		for i := range count {
			n := newNode(b, 0)
			n.eui = radio.EUI64{6: byte(i * 7 % count), 7: byte(i * 7 % count >> 8)}
			n.eui[0] = 1
			n.eui[5] = byte(i)
			b.register(n.abp())
		}
		got := b.list()
		if len(got) != count || !slices.IsSortedFunc(got, func(a, c Device) int { return slices.Compare(a.DevEUI[:], c.DevEUI[:]) }) {
			t.Errorf("%d devices", len(got))
		}
		seen := 0
		b.must(b.edge.Devices(b.Context(), func(Device) bool { seen++; return seen < 3 }))
		if seen != 3 {
			t.Errorf("it went on to %d", seen)
		}
	})
}

func TestAnUpdateKeepsTheSession(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		n.join()
		n.exchange()
		d, err := b.edge.UpdateDevice(b.Context(), n.eui, func(d *Device) error { d.Tags = []string{"a"}; d.BlockDownlink = false; return nil })
		if err != nil || len(d.Tags) != 1 || *d.DevAddr != n.addr || d.CounterUp != 1 {
			t.Fatalf("%+v, %v", d, err)
		}
		n.exchange()
		b.restart(b.store)
		n.exchange()
	})
}

func TestNewCountersAndKeysBeginANewSession(t *testing.T) {
	scenario(t, func(b *bench) {
		n := b.abpNode(1, nil)
		for range 5 {
			n.exchange()
		}
		update := func(f func(*Device)) error {
			_, err := b.edge.UpdateDevice(b.Context(), n.eui, func(d *Device) error { f(d); return nil })
			return err
		}
		b.must(update(func(d *Device) { d.CounterUp = 0 }))
		n.up = 0
		if c := n.exchange(); c < 5 {
			t.Errorf("downlink counter %d was used before", c)
		}
		var r *Refusal
		if err := update(func(d *Device) { d.CounterDown = 1 }); !errors.As(err, &r) || r.Field != "counter_down" {
			t.Errorf("lowered: %v", err)
		}
		if err := update(func(d *Device) { d.Tags[0], *d.NwkSKey = "changed in place", Key{77} }); err != nil {
			t.Error(err)
		}
		if got, err := b.edge.Device(b.Context(), n.eui); err != nil || *got.NwkSKey != (Key{77}) || got.Tags[0] != "changed in place" {
			t.Errorf("%+v, %v", got, err)
		}
		n.nwk = Key{77}
		if c := n.exchange(); c != 0 && c < 6 {
			t.Errorf("downlink counter %d", c)
		}
		if err := update(func(d *Device) { d.DevEUI[0]++ }); !errors.As(err, &r) || r.Field != "dev_eui" {
			t.Errorf("renamed: %v", err)
		}
		if err := update(func(d *Device) { d.Class = "?" }); !errors.As(err, &r) || r.Field != "dev_class" {
			t.Errorf("spoiled: %v", err)
		}
		b.must(update(func(d *Device) { d.NwkSKey, d.CounterDown, d.CounterUp = &Key{9}, 0, 0 }))
		n.nwk, n.up = Key{9}, 0
		if c := n.exchange(); c != 0 {
			t.Errorf("downlink counter %d with a new key", c)
		}
		b.restart(b.store.afterPowerCut())
		if c := n.exchange(); c < 1 {
			t.Errorf("downlink counter %d again", c)
		}
		failed := fmt.Errorf("no")
		if _, err := b.edge.UpdateDevice(b.Context(), n.eui, func(*Device) error { return failed }); !errors.Is(err, failed) {
			t.Error(err)
		}
	})
}

func TestARegisteredSessionReplacesAJoinedOne(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		n.join()
		n.exchange()
		n.addr, n.nwk, n.ses, n.up = DevAddr{2, 9, 9, 9}, Key{7}, Key{8}, 0
		_, err := b.edge.UpdateDevice(b.Context(), n.eui, func(d *Device) error {
			d.DevAddr, d.NwkSKey, d.AppSKey, d.CounterUp, d.CounterDown = &n.addr, &n.nwk, &n.ses, 0, 0
			return nil
		})
		b.must(err)
		n.exchange()
		b.restart(b.store)
		n.exchange()
		n.join()
		n.exchange()
		b.restart(b.store)
		n.exchange()
	})
}

func TestADeletedDeviceIsGoneAndItsJoinNonceGoesOn(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtNS))
		n.join()
		n.exchange()
		b.must(b.edge.DeleteDevice(b.Context(), n.eui))
		if _, err := b.edge.Device(b.Context(), n.eui); !errors.Is(err, ErrUnknownDevice) {
			t.Error(err)
		}
		if err := b.edge.DeleteDevice(b.Context(), n.eui); !errors.Is(err, ErrUnknownDevice) {
			t.Error(err)
		}
		if _, err := b.edge.UpdateDevice(b.Context(), n.eui, nil); !errors.Is(err, ErrUnknownDevice) {
			t.Error(err)
		}
		n.send(frame{payload: []byte("x")})
		if evs := b.take(); len(evs) > 0 {
			t.Errorf("events:%s", describe(evs))
		}
		b.register(n.otaa(KeysAtNS))
		n.nonce = 0 // the device was flashed anew
		n.hear(n.joinRequest())
		time.Sleep(8 * time.Second)
		if a := n.accept(b.air.frames()[0].Payload); a.JoinNonce != 2 {
			t.Errorf("JoinNonce %d", a.JoinNonce)
		}
	})
}

func TestADeletionDuringAJoinOrAWindowIsHarmless(t *testing.T) {
	scenario(t, func(b *bench) {
		n := newNode(b, 1)
		b.register(n.otaa(KeysAtApp))
		n.hear(n.joinRequest())
		req := one[*JoinRequest](t, b.take())
		b.must(b.edge.DeleteDevice(b.Context(), n.eui))
		b.refused(n.asJoin(req), CodeJoinNoAnswer)
		m := b.abpNode(2, nil)
		m.send(frame{payload: []byte("x"), confirmed: true})
		b.must(b.edge.DeleteDevice(b.Context(), m.eui))
		time.Sleep(2 * time.Minute)
		if len(b.air.frames()) > 0 {
			t.Error("a deleted device was answered")
		}
	})
}
