// Package lab is the test bench for LoRaWAN devices: a script says what a
// device is expected to do and what the network does to it, the bench makes it
// happen on a whole gateway and tells what came.
//
//	bench.go     what a bench is made of; what happened, as scripts wait for it
//	verbs.go     the vocabulary: each verb with its arguments, as a table
//	devices.go   verbs about devices
//	expect.go    verbs that wait for what a device does
//	send.go      verbs that send: answers, raw frames, faults
//	group.go     the multicast group of a device
//	mac.go       verbs that send MAC commands
//	measure.go   verbs that count
//	software.go  the virtual devices, healthy and with a defect
//	script.go    Starlark: the vocabulary as functions, the cases of a file
//	values.go    values of the language, and of JSON
//	suite.go     the suite of tests that is built in
//	report.go    what came out: for people, and as JUnit XML
//	virtual.go   hours in seconds
//
// One table serves scripts and the HTTP interface: a verb is called with
// named arguments and returns an object, wherever it comes from.
package lab
