// Package region holds LoRaWAN regional parameters and the channel plans of
// gateways, as data: a file per region.
//
// A [Region] is found by [Lookup] under any of its names, is immutable and
// may be shared by all goroutines. It answers what a network server asks:
// which modulation a data rate is and the way back ([Region.DataRate],
// [Region.DataRateOf]), where the receive windows are ([Region.RX1],
// [Region.RX2], [Region.Delays]), how long and how strong a frame may be
// ([Region.MaxPayload], [Region.EIRP]), how much of the time a gateway may
// transmit ([Region.SubBand]), which channels a device is told ([Region.CFList])
// and which ones the gateway listens to ([Region.Plan]).
//
// The tables of the specification come from github.com/brocaar/lorawan/band.
// What that library is silent about, or has wrong, is in the file of the
// region with its source: "RP002" is the LoRa Alliance's RP002-1.0.3 Regional
// Parameters, "EN 300 220" is ETSI EN 300 220-2 V3.2.1 with the bands of
// ERC/REC 70-03.
//
// Regions with more channels than a gateway has demodulators come in groups of
// eight, counted from 1: "US915-2" is the second. A name without a number is
// group 1.
package region
