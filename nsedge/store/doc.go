// Package store keeps what the network server must not forget: documents
// (devices, keys, nonces: written seldom, durable at once) and states (the
// latest few bytes about each device: written with every uplink, durable
// within a second).
//
// # Files
//
// One directory, owned by one process at a time:
//
//	gatewayd.db   bbolt: documents/<bucket>, states, and store{format, folded}
//	journal-0     two journal segments of a fixed size, used in turns
//	journal-1
//	lock          flock(2)ed while a process uses the directory; holds its pid
//	*.new         a file being made; removed when the store opens
//
// A journal segment is a header and then records, all numbers big endian:
//
//	header  magic "gwdjrnl1" (8) | salt (8) | CRC-32C of both (4)
//	record  length (2) | key (8) | sequence (8) | value (length) | CRC-32C (4)
//
// A length of 0xffff marks a forgotten key and has no value. The CRC of a
// record begins from the segment's salt, so a record is only ever valid in
// the life of the segment in which it was written. A segment is filled with
// zeros when it is made and overwritten from its start later on: an append
// changes neither the file's size nor its blocks, hence a sync writes the
// touched pages and nothing else, and never waits for the file system's own
// journal. It also keeps the appends going when the disk is full.
//
// # Rules
//
//   - Put, PutAll and Delete return when the change is on the disk.
//   - Append and Forget write the record with one pwrite(2) before they
//     return: a killed process loses nothing, unless the power fails before
//     the store is opened again. They never wait for a sync or a fold.
//   - Sync returns when everything appended before the call is on the disk.
//     Callers share syncs. With no caller, a sync starts at most
//     Options.SyncInterval after an append; an idle store has no timer.
//   - When a segment is full, appends go on in the other one, and the full one
//     is folded: synced, then the last state of each of its keys is written
//     into bbolt together with the sequence number it reaches, "folded"; then
//     the segment gets a new salt. Close folds both. If a fold fails (disk
//     full) or is slower than the appends, the segment in use grows, up to 16
//     times its size; beyond that Append fails with ErrFull.
//   - Sequence numbers have no holes. Recovery reads the segments in the order
//     of their first number, skips what is folded, and takes a record only if
//     it is whole and its number is the next one; at the first that isn't, it
//     stops, and nothing after that is used, however good it looks. So what
//     is recovered is always the state after some number of appends, never a
//     mixture, and that number is at least what Sync had promised. What was
//     recovered is folded, and both segments get a new salt before the first
//     append, so that a record beyond the end cannot come back later.
//   - bbolt's own rule protects the documents: data pages are synced before
//     the meta page that refers to them, and the meta page has a checksum and
//     a predecessor. A process that is killed between writing a meta page and
//     syncing it breaks that rule for the next one, which would overwrite
//     pages that the predecessor still needs; so Open syncs the file first.
//
// # Ownership
//
// All methods may be called from any goroutine. Open starts no goroutine; the
// background sync and the fold are short-lived ones that Close waits for.
// Tests of power cuts are in nsedge/store/powercut.
package store
