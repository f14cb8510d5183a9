// Package blackbox tests the built gatewayd from outside, in real time, with
// programs that share no code with it: a device made of npm's lora-packet in
// the air, a WebSocket client as application server (both in node/), and
// tshark as the judge of the frames.
//
// The tests run where GATEWAYD_BLACKBOX is set, as scripts/test does after
// installing what they need.
package blackbox
