package region

import (
	"fmt"
	"slices"

	"gatewayd/radio"
)

// SubBand is a part of the spectrum with rules of its own.
type SubBand struct {
	Name     string // the regulator's, e.g. "M"
	From, To radio.Hertz
	EIRP     radio.DBm // the most that may be radiated
	// Duty is the share of any hour that one transmitter may be on the air; 1
	// is no limit.
	Duty float64
	// Free is the EIRP at or below which Duty does not apply. 0: none.
	Free radio.DBm
}

// SubBands lists the sub-bands by frequency. Between them nothing may be
// transmitted. Regions without such rules have one that spans them.
func (r *Region) SubBands() []SubBand {
	if len(r.subBands) == 0 {
		return []SubBand{{Name: r.name, From: r.from, To: r.to, EIRP: r.eirp, Duty: 1}}
	}
	return slices.Clone(r.subBands)
}

// SubBand returns the sub-band that a carrier on f belongs to. A border
// belongs to the upper one.
func (r *Region) SubBand(f radio.Hertz) (SubBand, bool) {
	if len(r.subBands) == 0 {
		return r.SubBands()[0], r.Contains(f)
	}
	for _, s := range slices.Backward(r.subBands) {
		if s.From <= f && f <= s.To {
			return s, true
		}
	}
	return SubBand{}, false
}

// EIRP is the most that a gateway may radiate on f: at the antenna connector
// it is less by the antenna's gain. ok is false where it may not transmit.
func (r *Region) EIRP(f radio.Hertz) (p radio.DBm, ok bool) {
	s, ok := r.SubBand(f)
	return s.EIRP, ok
}

// MaxEIRP is what a device radiates at TX power index 0 unless it is told
// otherwise.
func (r *Region) MaxEIRP() radio.DBm { return fromFloat32(r.up.GetDefaultMaxUplinkEIRP()) }

// fromFloat32 keeps 12.15 what it is instead of 12.149999618530273.
func fromFloat32(f float32) radio.DBm { return radio.DBm(int(f*100+0.5)) / 100 }

// TXPower is the EIRP of a device at a TX power index of LinkADRReq.
func (r *Region) TXPower(index int) (radio.DBm, error) {
	if index < 0 || index > r.MaxTXPower() {
		return 0, fmt.Errorf("%w: %d, %s allows 0 to %d", ErrPower, index, r.Short(), r.MaxTXPower())
	}
	off, err := r.up.GetTXPowerOffset(index)
	if err != nil {
		return 0, fmt.Errorf("%w: %d in %s", ErrPower, index, r.Short())
	}
	return r.MaxEIRP() + radio.DBm(off), nil
}

// MaxTXPower is the highest TX power index, which is the lowest power.
func (r *Region) MaxTXPower() int {
	for i := 15; i > 0; i-- { // the field has four bits
		if _, err := r.up.GetTXPowerOffset(i); err == nil {
			return i
		}
	}
	return 0
}
