// Package nsedge is a LoRaWAN network server that runs on the gateway: it
// decides what an uplink means and what goes out in which window, and it owns
// all sessions.
//
// Frames come from an [Air], events go to a func(Event) given at construction,
// answers of application servers come in by [Edge.Answer].
package nsedge
