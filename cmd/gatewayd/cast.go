package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
	"gatewayd/radio/air"
)

// cast is the virtual devices of the demo: of three, two join, and one is
// activated by personalisation and sends confirmed uplinks. The second opens
// its receive window 15 s after an uplink: so late that a person can answer
// by hand. A fourth, and every fourth after it, is of class C. Or each is what
// its role says: a device, or a multicast group of devices. Their keys and
// states are kept beside the network's where the state folder was named, so
// that the demo goes on where it ended.
type cast struct {
	region  *region.Region
	store   *store.Store // nil: nothing is kept
	members []*member
}

// member is one device as it is kept.
type member struct {
	Name   string             `json:"name"`
	DevEUI radio.EUI64        `json:"dev_eui"`
	AppEUI radio.EUI64        `json:"app_eui"`
	AppKey enddevice.Key      `json:"app_key"`
	ABP    *enddevice.Session `json:"abp,omitempty"`   // nil: it joins
	Slow   bool               `json:"slow,omitempty"`  // opens RX1 patientDelay after an uplink
	Class  string             `json:"class,omitempty"` // "" is A
	Group  bool               `json:"group,omitempty"` // of all devices of its class
	// Version is of LoRaWAN; "" is 1.0.4.
	Version string           `json:"version,omitempty"`
	NwkKey  enddevice.Key    `json:"nwk_key,omitzero"` // of 1.1
	State   *enddevice.State `json:"state,omitempty"`
}

const castBucket = "demo"

// castPings is the periodicity of the ping slots: one in four seconds.
const castPings = 2

// How often the devices talk.
const (
	castInterval = 10 * time.Second
	castJitter   = 4 * time.Second
	castStagger  = 700 * time.Millisecond // between the devices' first frames
)

// newCast reads the devices, or makes them.
func newCast(reg *region.Region, st *store.Store, plays roles) (*cast, error) {
	c := &cast{region: reg, store: st}
	for i, r := range plays {
		m, err := c.member(i, r)
		if err != nil {
			return nil, fmt.Errorf("virtual device %d: %w", i+1, err)
		}
		c.members = append(c.members, m)
	}
	return c, nil
}

func (c *cast) member(i int, r role) (*member, error) {
	m := &member{
		Name:   fmt.Sprintf("sensor-%d", i+1),
		DevEUI: radio.EUI64{0x02, 0, 0, 0xFF, 0xFE, 0, 0, byte(i + 1)},
		AppEUI: radio.EUI64{0x02, 0, 0, 0xFF, 0xFE, 0, 1, 0},
	}
	if found, err := c.find(m); found || err != nil {
		if err == nil && r != (role{}) && !m.plays(r) {
			err = fmt.Errorf("%s is another device in the state folder than --devices says: name another folder, or leave --devices out", m.Name)
		}
		return m, err
	}
	if err := randomKeys(&m.AppKey); err != nil {
		return nil, err
	}
	if r != (role{}) {
		return m, errors.Join(m.play(i, r), c.keep(m))
	}
	if i%4 == 3 {
		m.Name, m.Class = fmt.Sprintf("lamp-%d", i+1), "C"
		return m, c.keep(m)
	}
	m.Slow = i%3 == 1
	if i%3 == 2 {
		m.Name = fmt.Sprintf("meter-%d", i+1)
		if err := m.personalise(i); err != nil {
			return nil, err
		}
	}
	return m, c.keep(m)
}

// personalise gives a new member a session.
func (m *member) personalise(i int) error {
	m.ABP = &enddevice.Session{DevAddr: enddevice.DevAddr{0, 0, 0, byte(i + 1)}}
	keys := []*enddevice.Key{&m.ABP.NwkSKey, &m.ABP.AppSKey}
	if m.Version == "1.1" {
		keys = append(keys, &m.ABP.SNwkSIntKey, &m.ABP.NwkSEncKey)
	}
	return randomKeys(keys...)
}

// play makes a new member what its role says.
func (m *member) play(i int, r role) error {
	m.Name = fmt.Sprintf("%s-%d", map[string]string{"A": "sensor", "B": "valve", "C": "lamp"}[r.class], i+1)
	if r.class != "A" {
		m.Class = r.class
	}
	if r.version == "1.1" {
		m.Version = r.version
	}
	switch {
	case r.kind == groupRole:
		m.Name, m.Group = fmt.Sprintf("group-%d", i+1), true
		return m.personalise(i)
	case r.kind == abpRole:
		return m.personalise(i)
	case m.Version == "1.1":
		return randomKeys(&m.NwkKey)
	}
	return nil
}

// plays tells whether a member is what a role says.
func (m *member) plays(r role) bool {
	return cmp.Or(m.Class, "A") == r.class && (m.Version == "1.1") == (r.version == "1.1") && (m.ABP != nil) == (r.kind != "") && m.Group == (r.kind == groupRole)
}

// castClaims is how often the example application has something for devices
// that can be sent it at any time.
const castClaims = 45 * time.Second

// claimed are the devices that listen without an uplink before.
func (c *cast) claimed() (out []string) {
	for _, m := range c.members {
		if m.Class != "" {
			out = append(out, m.DevEUI.String())
		}
	}
	return out
}

// find reads what is kept of a device.
func (c *cast) find(m *member) (bool, error) {
	if c.store == nil {
		return false, nil
	}
	kept, err := c.store.Get(castBucket, m.DevEUI[:])
	if kept == nil || err != nil {
		return false, err
	}
	return true, json.Unmarshal(kept, m)
}

func randomKeys(keys ...*enddevice.Key) error {
	for _, k := range keys {
		if _, err := io.ReadFull(rand.Reader, k[:]); err != nil {
			return err
		}
	}
	return nil
}

func (c *cast) keep(m *member) error {
	if c.store == nil {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return c.store.Put(castBucket, m.DevEUI[:], text)
}

// patientDelay is the longest RX1 delay that LoRaWAN has.
const patientDelay = 15 // seconds

// patient is the device that a person can answer, nil if there is none.
func (c *cast) patient() *member {
	for _, m := range c.members {
		if m.Slow {
			return m
		}
	}
	return nil
}

// names maps DevEUIs to what the story calls the devices.
func (c *cast) names() map[string]string {
	names := map[string]string{}
	for _, m := range c.members {
		names[m.DevEUI.String()] = m.Name
	}
	return names
}

// register makes the devices known to the network.
func (c *cast) register(ctx context.Context, edge *nsedge.Edge) error {
	for _, m := range c.members {
		if err := edge.CreateDevice(ctx, m.device()); err != nil && !errors.Is(err, nsedge.ErrDeviceExists) {
			return fmt.Errorf("register %s: %w", m.Name, err)
		}
	}
	return nil
}

// device is what is registered.
func (m *member) device() nsedge.Device {
	d := nsedge.Device{
		DevEUI: m.DevEUI, AppEUI: m.AppEUI, Class: m.Class, Version: cmp.Or(m.Version, "1.0.4"), Encryption: nsedge.KeysAtNS, Activation: nsedge.OTAA,
		Tags: []string{"demo", m.Name}, CountersSize: 4, ADR: nsedge.ADR{Mode: "on"},
	}
	if m.Slow {
		d.RX1Delay = patientDelay
	}
	if m.ABP == nil {
		d.AppKey = (*nsedge.Key)(&m.AppKey)
		if m.Version == "1.1" {
			d.NwkKey = (*nsedge.Key)(&m.NwkKey)
		}
		return d
	}
	d.Activation = nsedge.ABP
	d.DevAddr = (*nsedge.DevAddr)(&m.ABP.DevAddr)
	d.NwkSKey, d.AppSKey = (*nsedge.Key)(&m.ABP.NwkSKey), (*nsedge.Key)(&m.ABP.AppSKey)
	if m.Version == "1.1" {
		d.SNwkSIntKey, d.NwkSEncKey = (*nsedge.Key)(&m.ABP.SNwkSIntKey), (*nsedge.Key)(&m.ABP.NwkSEncKey)
	}
	if d.Multicast = m.Group; m.Group && m.Class == "B" {
		pings := castPings
		d.PingSlots.Periodicity = &pings
	}
	return d
}

// groupsOf are the groups that a device belongs to.
func (c *cast) groupsOf(who *member) (out []enddevice.Group) {
	for _, m := range c.members {
		if m.Group && m.Class == who.Class {
			out = append(out, enddevice.Group{DevAddr: m.ABP.DevAddr, NwkSKey: m.ABP.NwkSKey, AppSKey: m.ABP.AppSKey, Class: m.Class, Periodicity: castPings})
		}
	}
	return out
}

// runs puts the devices into the medium and returns what runs them; each
// tells what it hears.
func (c *cast) runs(m *air.Medium, heard func(radio.EUI64, enddevice.Event), log *slog.Logger) ([]func(context.Context) error, error) {
	var runs []func(context.Context) error
	for i, who := range c.members {
		if who.Group {
			continue
		}
		d, err := enddevice.New(enddevice.Config{
			Name: who.Name, DevEUI: who.DevEUI, JoinEUI: who.AppEUI, Region: c.region,
			AppKey: who.AppKey, ABP: who.ABP, State: who.State, Class: who.Class, Version: who.Version, NwkKey: who.NwkKey, Periodicity: castPings, Groups: c.groupsOf(who),
			DataRate: c.region.MaxADRDataRate(), Battery: 200,
			Station:  air.StationConfig{PathLoss: radio.DB(90 + 7*(i%5))},
			Interval: castInterval, Jitter: castJitter,
			Payload: func(n uint32) enddevice.Data { return who.says(i, n) },
			Save: func(s enddevice.State) {
				who.State = &s
				if err := c.keep(who); err != nil {
					log.Error("state of a virtual device is not kept", "device", who.Name, "err", err)
				}
			},
			Events: func(e enddevice.Event) { heard(who.DevEUI, e) },
			Seed:   uint64(time.Now().UnixNano()),
			Log:    log,
		}, m)
		if err != nil {
			return nil, err
		}
		runs = append(runs, func(ctx context.Context) error {
			defer d.Close()
			select {
			case <-time.After(time.Duration(i) * castStagger):
				return d.Run(ctx)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	return runs, nil
}

// says is what a device sends: something that people can read.
func (m *member) says(i int, n uint32) enddevice.Data {
	if m.ABP != nil {
		return enddevice.Data{Port: 2, Payload: fmt.Appendf(nil, "%d kWh", 1000+n), Confirmed: true}
	}
	tenths := 205 + 7*i + int(n%9)
	return enddevice.Data{Port: 1, Payload: fmt.Appendf(nil, "%d.%d C", tenths/10, tenths%10)}
}
