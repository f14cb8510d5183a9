// Package schema holds the JSON Schemas (draft 2020-12) of the Data API's
// messages, one file per message type, and common.json with what they share.
//
// The schemas of messages to applications are closed: a field that is not
// named there is an error. Whoever adds a field to a message adds it there,
// too; the tests of the whole repository check each message that they see
// (package schematest). Those of messages from applications are open, as the
// server is.
package schema

import (
	"embed"
	"io/fs"
)

//go:embed *.json
var files embed.FS

// Common is the file that the others refer to.
const Common = "common.json"

// FS holds the files: NAME.json for each of [Outgoing] and [Incoming], and
// [Common].
func FS() fs.FS { return files }

// Outgoing are the types of messages to applications.
func Outgoing() []string {
	return []string{"uplink", "downlink_request", "downlink", "join_request", "status_response", "location", "error", "warning", "info"}
}

// Incoming are the types of messages from applications.
func Incoming() []string {
	return []string{"downlink_response", "downlink_claim", "join_response", "status_request"}
}
