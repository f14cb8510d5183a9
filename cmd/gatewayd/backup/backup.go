// Package backup writes the whole gateway into one encrypted file, and reads
// it back into an empty store: devices, keys, sessions, counters, nonces,
// users, filters, connections, and the configuration for people to compare.
//
// # The file
//
// It is an age file (https://age-encryption.org/v1), encrypted with a passphrase or
// to a public key: any age tool opens it, and what was changed or cut short
// does not open. Inside is a line of JSON, the [Info], and then records, each
// a byte and some texts that begin with their length as a varint:
//
//	'c' the configuration
//	's' key, value                a state of the journal
//	'd' bucket, key, value        a document
//	'e' how many records came before, as a varint
//
// States come before documents: what is written while the gateway works is a
// session's state at the latest of its document, never of a session that the
// documents do not know.
//
// # After a restore
//
// A backup is of yesterday. [Read] lets every session and every device skip
// so many counters and nonces ([nsedge.Restored]) that nothing is used twice.
// docs/backup.md tells what a backup can't bring back.
package backup

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
)

// Format is the version of the file's inside that [Write] makes.
const Format = 1

// Info is what a backup tells about itself.
type Info struct {
	Format  int       `json:"gatewayd_backup"`
	Made    time.Time `json:"made"`
	Version string    `json:"version"` // of the gatewayd that made it
	Gateway string    `json:"gateway,omitempty"`
	Region  string    `json:"region"`
}

// Source is what is backed up; *store.Store is one.
type Source interface {
	Buckets() ([]string, error)
	Each(bucket string, f func(key, value []byte) error) error
	EachState(f func(key [8]byte, value []byte) error) error
}

// workFactor of a passphrase: 2^16 takes 64 MiB and about a second on a
// Raspberry Pi 4.
const workFactor = 16

// ForPassphrase encrypts with a passphrase.
func ForPassphrase(passphrase string) (age.Recipient, error) {
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	r.SetWorkFactor(workFactor)
	return r, nil
}

// ForKey encrypts to a public key, "age1…".
func ForKey(key string) (age.Recipient, error) {
	r, err := age.ParseX25519Recipient(key)
	if err != nil {
		return nil, fmt.Errorf("recipient: %w: a public key as age-keygen prints it is wanted, \"age1…\"", err)
	}
	return r, nil
}

// Write writes a backup of s while others go on using it.
func Write(ctx context.Context, w io.Writer, s Source, info Info, config []byte, to age.Recipient) error {
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	info.Format = Format
	head, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	out := &writer{to: bufio.NewWriter(sealed), ctx: ctx}
	_, _ = out.to.Write(append(head, '\n')) // errors stay in it until Flush
	if err := out.all(s, config); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := errors.Join(out.to.Flush(), sealed.Close()); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// writer writes records and counts them.
type writer struct {
	ctx context.Context //nolint:containedctx // of the one call of Write
	to  *bufio.Writer
	buf []byte
	n   uint64
}

func (w *writer) all(s Source, config []byte) error {
	if err := w.record('c', config); err != nil {
		return err
	}
	if err := s.EachState(func(key [8]byte, value []byte) error { return w.record('s', key[:], value) }); err != nil {
		return err
	}
	buckets, err := s.Buckets()
	if err != nil {
		return err
	}
	for _, bucket := range buckets {
		if err := s.Each(bucket, func(k, v []byte) error { return w.record('d', []byte(bucket), k, v) }); err != nil {
			return err
		}
	}
	_, err = w.to.Write(binary.AppendUvarint([]byte{'e'}, w.n))
	return err
}

func (w *writer) record(kind byte, parts ...[]byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.n++
	w.buf = append(w.buf[:0], kind)
	for _, p := range parts {
		w.buf = binary.AppendUvarint(w.buf, uint64(len(p)))
		w.buf = append(w.buf, p...)
	}
	_, err := w.to.Write(w.buf)
	return err
}
