package main

import (
	"context"
	"time"

	"gatewayd/concentrator"
	"gatewayd/dataapi"
)

// dutyPatience is how long the network server may take to tell its duty cycle.
const dutyPatience = time.Second

// Radio implements dataapi.Machine.
func (m *machine) Radio() dataapi.Radio {
	now, running := m.conc.Now()
	s := m.conc.Stats()
	m.mu.Lock()
	r := dataapi.Radio{
		Region: m.region.Short(), Running: running, Counter: int64(now),
		Radios: radioFronts(&m.radio), Channels: radioChannels(&m.radio), CanScan: m.radio.SX1261.Port != nil,
		Celsius: s.Celsius, CelsiusAssumed: s.CelsiusAssumed, Counters: counters(s), SPI: spiCost(s), Duty: []dataapi.Duty{},
	}
	edge := m.edge
	if edge != nil {
		r.EUI = m.gateway.String()
	}
	if !running {
		r.Fault = m.down.Error()
	}
	m.mu.Unlock()
	r.Network = m.network()
	if edge == nil {
		return r
	}
	ctx, cancel := context.WithTimeout(context.Background(), dutyPatience)
	defer cancel()
	use, err := edge.Duty(ctx)
	if err != nil {
		return r // it ends just now
	}
	for _, u := range use {
		r.Duty = append(r.Duty, dataapi.Duty{
			Gateway: u.Gateway.String(),
			Band:    u.Band, From: u.From.MHz(), To: u.To.MHz(), Used: u.Used.Seconds(), Allowed: u.Allowed.Seconds(), FreeAt: float64(u.FreeAt.UnixMicro()) / 1e6,
		})
	}
	return r
}

func spiCost(s concentrator.Stats) dataapi.SPI {
	return dataapi.SPI{
		Frames: s.Frames, Bytes: s.Bytes, Retries: s.Retries, Failures: s.Failures, StartTime: s.StartTime.Seconds(),
		StartFrames: s.StartFrames, StartBytes: s.StartBytes, Overhead: s.BusOverhead.Seconds(), Lateness: s.WorstLateness.Seconds(),
	}
}

func radioFronts(c *concentrator.Config) []dataapi.RadioFront {
	all := []dataapi.RadioFront{}
	for i, r := range c.Radios {
		if r.Enable {
			all = append(all, dataapi.RadioFront{Index: i, Type: r.Type.String(), Freq: r.Freq.MHz(), Transmit: r.Transmit, TXMin: r.TXMin.MHz(), TXMax: r.TXMax.MHz()})
		}
	}
	return all
}

// loraWidth is the bandwidth of the eight channels with all spreading factors.
const loraWidth = 125_000

// radioChannels are the ten receivers as they are configured; indexes are
// those of the chip's IF chains.
func radioChannels(c *concentrator.Config) []dataapi.RadioChannel {
	all := []dataapi.RadioChannel{}
	add := func(index int, kind string, ch concentrator.Channel, width int, sf []int, rate int) {
		if ch.Enable {
			all = append(all, dataapi.RadioChannel{
				Index: index, Kind: kind, Radio: ch.Radio, Freq: (c.Radios[ch.Radio].Freq + ch.IF).MHz(), Bandwidth: width, Spreading: sf, BitRate: rate,
			})
		}
	}
	factors := []int{}
	for sf := 5; sf <= 12; sf++ {
		if c.SpreadingFactors == 0 || c.SpreadingFactors>>(sf-5)&1 == 1 {
			factors = append(factors, sf)
		}
	}
	for i, ch := range c.Channels {
		add(i, "multi-sf", ch, loraWidth, factors, 0)
	}
	add(len(c.Channels), "lora", c.Service.Channel, int(c.Service.Bandwidth), []int{int(c.Service.SF)}, 0)
	add(len(c.Channels)+1, "fsk", c.FSK.Channel, loraWidth, []int{}, c.FSK.BitRate)
	return all
}
