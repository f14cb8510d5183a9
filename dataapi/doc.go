// Package dataapi is gatewayd's face to applications: the Data API, which is
// a WebSocket of JSON messages compatible with Everynet's Data API v1.0, and
// the Management API, which is REST under /api/v1.0.
//
// The map:
//
//   - [Server] owns the set of connections. [Server.Publish] takes what the
//     edge says and never blocks; [Server.Run] renders each event once per
//     shape (radio and lora objects or not) and hands the same bytes to every
//     connection whose filter matches.
//   - A subscriber is one connection: a reader, which turns the AS's messages
//     into [nsedge.Answer] values, and a writer with a bounded queue, who writes
//     all that waits with one call. A reader
//     that falls behind is closed with 1013 and is never waited for.
//   - [Keys] are the access tokens with their rights; only hashes are kept.
//   - A history remembers the last events, bounded in age and bytes; a replay
//     is a walk through it that a connection's writer does between new messages.
//   - A link is a connection that we make: an adapter (package adapter) brings
//     messages to an application over HTTP or MQTT.
//   - The rest are REST resources: devices, keys, users, filters, organisations.
//
// Files are named for the concept they hold. The Data API: query.go (what a
// client may ask for when it connects), filter.go, connect.go, subscriber.go,
// writer.go, frame.go, fanout.go, history.go, replay.go, envelope.go and encode_*.go (events to
// JSON), decode.go (JSON to answers), requests.go (what answers name), leads.go (how early answers come), locate.go
// (where devices are). Who
// may do what: credentials.go, local.go, keys.go, permissions.go, users.go, password.go, sessions.go, signin.go,
// limits.go, guard.go. The Management API: rest.go (how resources are served),
// routes.go (the table), jobs.go, machine.go, setup.go, scope.go, audit.go, page.go, devices.go and device_*.go, filters.go, connections.go and links.go,
// bands.go, *_rest.go, errors.go, metrics.go, health.go.
//
// Package schema holds a JSON Schema for each message; the tests hold every
// message that they see against it.
//
// The user's reference is docs/data-api.md.
package dataapi
