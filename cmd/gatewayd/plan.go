package main

import (
	"fmt"

	"periph.io/x/conn/v3/physic"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// radioConfig is what the driver must know: the board's facts, and the
// region's channels placed on the two radios.
func radioConfig(hw *board.Hardware, reg *region.Region) (concentrator.Config, error) {
	cfg := concentrator.Config{
		Radios:      hw.Board.Radios,
		ClockSource: hw.Board.ClockSource,
		Reset:       hw.Reset,
		HoldReset:   hw.Hold,
		Temperature: hw.Temperature,
		SPIHz:       int64(hw.Board.SPIClock / physic.Hertz),
	}
	for i := range cfg.Radios {
		if r := &cfg.Radios[i]; r.Transmit {
			r.TXMin, r.TXMax = reg.Range()
		}
	}
	request, err := planRequest(reg.Plan())
	if err != nil {
		return cfg, fmt.Errorf("region %s: %w", reg, err)
	}
	plan, err := concentrator.Place(request)
	if err != nil {
		return cfg, fmt.Errorf("region %s: %w", reg, err)
	}
	plan.Apply(&cfg)
	return cfg, nil
}

// planRequest says a region's channels in the driver's words.
func planRequest(p region.Plan) (concentrator.PlanRequest, error) {
	r := concentrator.PlanRequest{Channels: p.MultiSF}
	if p.Service != nil {
		m, ok := p.Service.Mod.(radio.LoRa)
		if !ok {
			return r, fmt.Errorf("service channel: modulation %v, LoRa is wanted", p.Service.Mod)
		}
		r.Service = &concentrator.PlannedService{Freq: p.Service.Freq, Bandwidth: m.Bandwidth, SF: m.SF}
	}
	if p.FSK != nil {
		m, ok := p.FSK.Mod.(radio.FSK)
		if !ok {
			return r, fmt.Errorf("FSK channel: modulation %v, FSK is wanted", p.FSK.Mod)
		}
		r.FSK = &concentrator.PlannedFSK{Freq: p.FSK.Freq, BitRate: m.BitRate}
	}
	return r, nil
}
