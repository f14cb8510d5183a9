// Package nsedge is a LoRaWAN network server that runs on the gateway: it
// decides what an uplink means and what goes out in which window, and it owns
// all sessions. It serves classes A, B and C of LoRaWAN 1.0.0 to
// 1.0.4 and 1.1.
//
// Frames come from an [Air], events go to a func(Event) given at construction,
// answers of application servers come in by [Edge.Answer], devices by
// [Edge.CreateDevice] and its siblings. What has to last is in a [Store].
//
// # Ways through the package
//
//	frame up    edge.go Run → uplink.go receive → dedup.go copies and ghosts
//	            → data.go session, counter, event → mac*.go → window.go open
//	gateways    gateway.go: several Airs, which of them sends
//	answer      edge.go Answer → answer_*.go → downlink.go send, compose, launch
//	cut-off     window.go tick → standby.go (ACK, MAC commands, kept answers) → downlink.go send
//	class B, C  answer_claim.go → classc.go → pingslot.go (B) → downlink.go schedule
//	            ask.go: MAC commands between uplinks
//	groups      multicast.go: devices that nobody sends as, repetitions
//	beacons     edge.go Run → beacon.go, what time is worth → gpsclock.go
//	MAC setup   mac.go handleMAC → orders.go settle, review → mac_*.go, adr.go
//	            → settingsdoc.go the store → downlink.go compose
//	fate        report.go: the downlink event with its timing, or RX2, or an error
//	join        join.go → off the owner's goroutine: joinstate.go, the store →
//	            joined → downlink.go; answer_join.go where the AS holds the key;
//	            rejoin.go → the same, for rejoin-requests of 1.1
//	keys        keys.go: what a session signs and encrypts with, 1.0 and 1.1;
//	            durable.go: its downlink counters
//	devices     devices.go, validate.go, document.go, registry.go
//
// # Who owns what
//
// All state belongs to the goroutine that runs [Edge.Run]; while nobody does,
// calls borrow it ([Edge.do]). Disk writes that wait for the disk are done by
// background jobs and by callers, never by Run: it appends to the journal, and
// that is one write to a file. The mutex docs orders changes of documents.
//
// # Words
//
// A reception is one transmission of a device with all its copies. A window is
// what may be sent after it: one downlink in one of two slots, RX1 or RX2; or, in
// class C, one at any time, and in class B, one in the next ping slot. Orders are
// what the edge asks of a device by MAC commands. A flight is a downlink that the Air has taken and not yet reported.
//
// docs/nsedge.md tells the rules at length. Section numbers in comments are
// those of the LoRaWAN Link Layer Specification 1.0.4 (TS001-1.0.4), or of the
// LoRaWAN 1.1 Specification where that is said.
package nsedge
