package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/radio/air"
)

// How a virtual device talks.
const (
	softInterval = 5 * time.Second
	softJitter   = 2 * time.Second
	softLoss     = 100 // dB of path loss
)

// healthy are the virtual devices that do all right, by what they are.
func healthy() map[string]deviceArgs {
	return map[string]deviceArgs{
		"healthy":       {},
		"healthy-b":     {Class: "B"},
		"healthy-c":     {Class: "C"},
		"healthy-abp":   {Activation: "ABP"},
		"healthy-1.0.2": {Version: "1.0.2"},
		"healthy-1.1":   {Version: "1.1"},
	}
}

// kindOf is what a virtual device is unless a script says otherwise: one with
// a defect of a class or version is of that.
func kindOf(name string) (args deviceArgs, ok bool) {
	if args, ok = healthy()[name]; ok {
		return args, true
	}
	switch d := enddevice.Defect(name); d {
	case enddevice.DeafRXC, enddevice.DeafGroup, enddevice.GroupMIC, enddevice.GroupReplays, enddevice.AcksGroup:
		args.Class = "C"
	case enddevice.DeafPings, enddevice.WrongPings, enddevice.LeavesB, enddevice.StaysInB, enddevice.IgnoresPingChannel, enddevice.FeignsPingChannel:
		args.Class = "B"
	case enddevice.OneCounter11, enddevice.NoRekey, enddevice.PlainFOpts, enddevice.NoRejoin, enddevice.SameRJCount, enddevice.ForgetsSession,
		enddevice.KeepsSession, enddevice.ResetsRadio, enddevice.IgnoresRejoinParam, enddevice.FeignsRejoinParam, enddevice.IgnoresADRParam, enddevice.FeignsADRParam:
		args.Version = "1.1"
	}
	return args, slices.Contains(enddevice.Defects(), enddevice.Defect(name))
}

// Defects are the names of virtual devices: first those that do all right,
// then those with a defect.
func Defects() []string {
	names := slices.Sorted(maps.Keys(healthy()))
	for _, d := range enddevice.Defects() {
		names = append(names, string(d))
	}
	return names
}

// Class of the device that is tested.
func (t Target) Class() string {
	kind, _ := kindOf(t.Virtual)
	if name, ok := t.Device["virtual"].(string); ok {
		kind, _ = kindOf(name)
	}
	if c, ok := t.Device["class"].(string); ok {
		return strings.ToUpper(c)
	}
	return or(kind.Class, "A")
}

// preset fills in what kind of device a virtual one is.
func (a *deviceArgs) preset() {
	kind, _ := kindOf(a.Virtual)
	a.Class = or(a.Class, kind.Class)
	a.Version = or(a.Version, kind.Version)
	a.Activation = or(a.Activation, kind.Activation)
}

// switchOn makes a virtual device of what the network knows of one.
func (b *Bench) switchOn(s *subject, kind string) error {
	if b.medium == nil {
		return fmt.Errorf("%w: virtual is %q; there are no virtual devices on a real radio", ErrCall, kind)
	}
	if _, ok := kindOf(kind); !ok {
		return fmt.Errorf("%w: virtual is %q; there are %s", ErrCall, kind, strings.Join(Defects(), ", "))
	}
	d, owed := s.spec, new(echo)
	cfg := enddevice.Config{
		DevEUI: d.DevEUI, JoinEUI: d.AppEUI, Region: b.region, Version: softVersion(d.Version), Class: d.Class, Battery: 200,
		Station: air.StationConfig{PathLoss: softLoss}, DataRate: b.region.MaxADRDataRate(), ADR: true,
		Interval: softInterval, Jitter: softJitter, Seed: b.cfg.Seed, Groups: s.softGroups(), Events: owed.heard,
		Payload: func(n uint32) enddevice.Data {
			if d, ok := owed.next(); ok {
				return d
			}
			return enddevice.Data{Port: 1, Payload: fmt.Appendf(nil, "%d", n), Confirmed: n%4 == 3}
		},
	}
	if d.Activation == nsedge.ABP {
		cfg.ABP = &enddevice.Session{DevAddr: enddevice.DevAddr(*d.DevAddr), NwkSKey: enddevice.Key(*d.NwkSKey), AppSKey: enddevice.Key(*d.AppSKey)}
	} else {
		cfg.AppKey = enddevice.Key(*d.AppKey)
		if d.NwkKey != nil {
			cfg.NwkKey = enddevice.Key(*d.NwkKey)
		}
	}
	if _, ok := healthy()[kind]; !ok {
		cfg.Defect = enddevice.Defect(kind)
	}
	s.soft = &cfg
	return b.run(s)
}

// softVersion is the nearest that a software device speaks.
func softVersion(v string) string {
	switch {
	case strings.HasPrefix(v, "1.1"):
		return "1.1"
	case v == "1.0.3", v == "1.0.4":
		return v
	default:
		return "1.0.2"
	}
}

// run starts a virtual device, from where it ended if it ran before.
func (b *Bench) run(s *subject) error {
	cfg := *s.soft
	cfg.Save = func(st enddevice.State) { s.soft.State = &st }
	d, err := enddevice.New(cfg, b.medium)
	if err != nil {
		return fmt.Errorf("virtual device: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.gone.Go(func() {
		_ = d.Run(ctx) // ends with ctx
		d.Close()
	})
	return nil
}

// off switches a virtual device off.
func (s *subject) off() {
	if s.stop == nil {
		return
	}
	s.stop()
	s.gone.Wait()
	s.stop = nil
}
