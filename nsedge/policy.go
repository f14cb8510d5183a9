package nsedge

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"gatewayd/radio"
)

// Policy says what to make of counters and DevNonces that a device which
// obeys the specification would not send.
type Policy string

// Policies. In all of them the MIC has to be right.
const (
	// PolicyStrict refuses whatever goes back, and gaps of 16 384 and more.
	PolicyStrict Policy = "strict"
	// PolicyRelaxed, the default, takes any gap, and lets an ABP device begin
	// again at 0 with a frame that was not heard before.
	PolicyRelaxed Policy = "relaxed"
	// PolicyLab takes counters and DevNonces as they come: a device on a desk,
	// that is flashed every ten minutes. Replays get through.
	PolicyLab Policy = "lab"
)

// Versions of LoRaWAN that a device may be registered with.
const (
	version104     = "1.0.4"
	version11      = "1.1"
	defaultVersion = "1.0.3"
)

var versions = []string{"1.0.0", "1.0.1", "1.0.2", defaultVersion, version104, version11}

// session11 tells whether the session that is registered is one of 1.1.
func (d *Device) session11() bool {
	return d.NwkSKey != nil && d.SNwkSIntKey != nil && d.NwkSEncKey != nil
}

// since tells whether the device knows what came with a version.
func (d *Device) since(version string) bool {
	return slices.Index(versions, d.Version) >= slices.Index(versions, version)
}

// checkPolicy fills in and checks version and policy.
func checkPolicy(d *Device) error {
	d.Version = cmp.Or(d.Version, defaultVersion)
	if d.Version == "1.1.0" || d.Version == "1.1.1" { // as others write it
		d.Version = version11
	}
	if !slices.Contains(versions, d.Version) {
		return invalid("version", "%q is not a LoRaWAN version that is served: allowed are %v", d.Version, versions)
	}
	d.Version = intern(d.Version, versions...)
	if d.Policy == "" {
		d.Policy = PolicyRelaxed
		if d.StrictCounter {
			d.Policy = PolicyStrict
		}
	}
	switch d.Policy {
	case PolicyStrict, PolicyRelaxed, PolicyLab:
		d.Policy = intern(d.Policy, PolicyStrict, PolicyRelaxed, PolicyLab)
	default:
		return invalid("policy", "%q is not strict, relaxed or lab", d.Policy)
	}
	d.StrictCounter = d.Policy == PolicyStrict
	return nil
}

// policyAfter lets a change of StrictCounter alone change the policy.
func policyAfter(before, after *Device) {
	if before.StrictCounter != after.StrictCounter && before.Policy == after.Policy {
		after.Policy = ""
	}
}

// ResetDevice is the button to press after a device was flashed or lost its
// memory: its DevNonces are forgotten, so that it may join, and an ABP device
// may begin again at uplink counter 0. Until it does, who recorded its frames
// may replay them. No downlink counter is used again.
func (e *Edge) ResetDevice(ctx context.Context, eui radio.EUI64) error {
	e.docs.Lock()
	defer e.docs.Unlock()
	known := false
	var err error
	if doErr := e.do(ctx, func() {
		var dev *device
		if dev, known = e.byEUI[eui]; known {
			err = e.resetCounters(dev)
		}
	}); doErr != nil {
		return fmt.Errorf("reset device %v: %w", eui, doErr)
	}
	if !known {
		err = ErrUnknownDevice
	}
	if err == nil {
		err = e.forgetNonces(eui)
	}
	if err == nil {
		err = e.cfg.Store.Sync(ctx)
	}
	if err != nil {
		return fmt.Errorf("reset device %v: %w", eui, err)
	}
	return nil
}

// resetCounters lets an ABP device begin again.
func (e *Edge) resetCounters(d *device) error {
	s := d.active
	if s == nil || d.spec.Activation != ABP {
		return nil
	}
	before := s.counters
	s.counters = counters{mark: s.mark, appMark: s.appMark, conf: s.conf, seen: s.seen} // it may well send the same first frame again
	if err := e.record(s, s.down, false); err != nil {
		s.counters = before
		return err
	}
	s.repeats = 0
	return nil
}

// forgetNonces lets a device use its DevNonces again. The caller holds docs.
func (e *Edge) forgetNonces(eui radio.EUI64) error {
	raw, err := e.cfg.Store.Get(bucketJoins, eui[:])
	if err != nil || raw == nil {
		return err
	}
	j, err := decodeJoinState(raw)
	if err != nil {
		return err
	}
	j.nonces, j.rejoin1, j.rejoin0 = nil, 0, 0
	return e.cfg.Store.Put(bucketJoins, eui[:], j.encode())
}

// checkNonce tells why a DevNonce is not accepted, "" if it is.
func checkNonce(version string, p Policy, used nonces, nonce uint16) string {
	switch {
	case p == PolicyLab:
		return ""
	case used.has(nonce):
		return fmt.Sprintf("DevNonce %04x was used already: a replay, or the device forgot its nonces. If it did, reset the device (or set its policy to lab)", nonce)
	case (version == version104 || version == version11) && len(used) > 0 && nonce < used[len(used)-1].last:
		return fmt.Sprintf("DevNonce %d is not greater than the last one, %d, as LoRaWAN 1.0.4 and 1.1 have it: a replay, or the device forgot its nonces. If it did, reset the device; if it draws nonces at random, set its version to 1.0.3",
			nonce, used[len(used)-1].last)
	}
	return ""
}
