// Package classb is the arithmetic of LoRaWAN class B: where on GPS time
// beacons and ping slots lie, and what a beacon looks like. It keeps no state
// and knows neither gateways nor devices: the network server and the software
// device both build on it.
//
// Times are durations since the GPS epoch (January 6, 1980, without leap
// seconds). Section numbers are those of the LoRaWAN Link Layer Specification
// 1.0.4 (TS001-1.0.4).
package classb
