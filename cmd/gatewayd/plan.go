package main

import (
	"fmt"
	"slices"

	"gatewayd/board"
	"gatewayd/concentrator"
	"gatewayd/concentrator/halconf"
	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// radioConfig is what the driver must know: the board's facts, and the
// region's channels placed on the two radios; or all that as a packet
// forwarder's file has it.
func radioConfig(hw *board.Hardware, reg *region.Region, conf *halconf.Conf) (concentrator.Config, error) {
	if conf != nil {
		return forwarderConfig(hw, conf), nil
	}
	radios, _ := hw.Board.Radios(reg.Short())
	cfg := concentrator.Config{
		Radios:      radios,
		ClockSource: hw.Board.ClockSource,
		FullDuplex:  hw.Board.FullDuplex,
		SX1261:      concentrator.SX1261{RSSIOffset: radio.DB(hw.Board.SX1261Offset)},
		Reset:       hw.Reset,
		HoldReset:   hw.Hold,
		Temperature: hw.Temperature,
		I2C:         hw.I2C,
		SPIHz:       hw.Board.SPIHz,
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

// forwarderConfig leaves to the board what no such file says: how the chip is
// reset, how warm it is.
func forwarderConfig(hw *board.Hardware, conf *halconf.Conf) concentrator.Config {
	cfg := conf.Concentrator
	cfg.Reset, cfg.HoldReset, cfg.Temperature, cfg.I2C = hw.Reset, hw.Hold, hw.Temperature, hw.I2C
	cfg.SPIHz = hw.Board.SPIHz
	return cfg
}

// heardNowhere lists the region's channels that no receive channel listens
// on: devices use them all the same.
func heardNowhere(cfg *concentrator.Config, p region.Plan) []radio.Hertz {
	var missing []radio.Hertz
	for _, f := range p.MultiSF {
		if !slices.ContainsFunc(cfg.Channels[:], func(c concentrator.Channel) bool {
			return c.Enable && cfg.Radios[c.Radio].Freq+c.IF == f
		}) {
			missing = append(missing, f)
		}
	}
	return missing
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
