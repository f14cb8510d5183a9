// Package devicefile reads and writes files of devices: CSV and JSON of the
// Management API, and what ChirpStack v4 and The Things Stack export.
//
//	devicefile.go  Format, Row, Read: what every format has in common
//	csv.go         CSV with a header: ours, and those of the other two
//	json.go        JSON: a list, one object after the other, or an object with a list
//	chirpstack.go  the fields of ChirpStack v4
//	tts.go         the fields of The Things Stack
//	write.go       our own CSV and JSON
//
// Whatever is read becomes the fields of the Management API's device object
// as JSON; what they mean, and whether they are good, is decided where that
// object is understood. Nothing is kept but one device at a time.
package devicefile
