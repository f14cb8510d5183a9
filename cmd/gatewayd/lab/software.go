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
	softInterval = 20 * time.Second
	softJitter   = 5 * time.Second
	softLoss     = 100 // dB of path loss
)

// defects are what virtual devices can suffer from, by name. "healthy" is none.
func defects() map[string]func(*enddevice.Config) {
	return map[string]func(*enddevice.Config){
		"healthy": func(*enddevice.Config) {},
	}
}

// Defects are the names of virtual devices.
func Defects() []string { return slices.Sorted(maps.Keys(defects())) }

// switchOn makes a virtual device of what the network knows of one.
func (b *Bench) switchOn(s *subject, kind string) error {
	if b.medium == nil {
		return fmt.Errorf("%w: virtual is %q; there are no virtual devices on a real radio", ErrCall, kind)
	}
	spoil, ok := defects()[kind]
	if !ok {
		return fmt.Errorf("%w: virtual is %q; there are %s", ErrCall, kind, strings.Join(Defects(), ", "))
	}
	d := s.spec
	cfg := enddevice.Config{
		DevEUI: d.DevEUI, JoinEUI: d.AppEUI, Region: b.region, Version: softVersion(d.Version), Class: d.Class, Battery: 200,
		Station: air.StationConfig{PathLoss: softLoss}, DataRate: b.region.MaxADRDataRate(), ADR: true,
		Interval: softInterval, Jitter: softJitter, Seed: b.cfg.Seed,
		Payload: func(n uint32) enddevice.Data {
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
	spoil(&cfg)
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
