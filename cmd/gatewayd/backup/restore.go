package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"gatewayd/nsedge"
	"gatewayd/nsedge/store"
)

// What a file may be refused for. The message says what to do.
var (
	// ErrSecret: the passphrase or the identity does not open the file.
	ErrSecret = errors.New("it does not open the backup")
	// ErrDamaged: it was changed, cut short, or is no backup.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrVersion: a newer gatewayd made it.
	ErrVersion = errors.New("the backup is of a newer gatewayd")
)

// Summary is what a backup holds.
type Summary struct {
	Info
	Config  string         `json:"-"`
	Records map[string]int `json:"records"` // documents by bucket, "states" those of the journal
}

// Bounds of what is read: a file may say anything.
const (
	maxText     = 16 << 20
	maxInfo     = 64 << 10
	batch       = 4096 // documents in a transaction
	maxWork     = 20   // of a passphrase: 2^20 take 1 GiB
	stateRecord = "states"
)

// FromPassphrase opens what [ForPassphrase] encrypted.
func FromPassphrase(passphrase string) (age.Identity, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	id.SetMaxWorkFactor(maxWork)
	return id, nil
}

// FromKey opens what was encrypted to the public key of this one.
func FromKey(key string) (age.Identity, error) {
	id, err := age.ParseX25519Identity(key)
	if err != nil {
		return nil, errors.New("identity: a secret key as age-keygen makes it is wanted, \"AGE-SECRET-KEY-1…\"")
	}
	return id, nil
}

// Check reads a whole backup and says what it holds.
func Check(ctx context.Context, r io.Reader, id age.Identity) (Summary, error) {
	return read(ctx, r, id, nil)
}

// Read fills an empty store from a backup and makes it good for use. After an
// error the store is not.
func Read(ctx context.Context, r io.Reader, id age.Identity, into *store.Store) (Summary, error) {
	sum, err := read(ctx, r, id, into)
	if err == nil {
		err = nsedge.Restored(ctx, into)
	}
	return sum, err
}

func read(ctx context.Context, r io.Reader, id age.Identity, into *store.Store) (Summary, error) {
	sum := Summary{Records: map[string]int{}}
	plain, err := age.Decrypt(r, id)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return sum, fmt.Errorf("%w: give the passphrase or the secret key that belongs to it", ErrSecret)
	case err != nil:
		return sum, fmt.Errorf("%w: %v", ErrDamaged, err) //nolint:errorlint // its kind doesn't matter
	}
	in := &reader{from: bufio.NewReader(plain), sum: &sum, into: into}
	if err := in.head(); err != nil {
		return sum, err
	}
	for !in.ended {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		if err := in.record(); err != nil {
			return sum, err
		}
	}
	return sum, in.flush()
}

// reader reads records.
type reader struct {
	from  *bufio.Reader
	sum   *Summary
	into  *store.Store // nil: it is only looked at
	n     uint64
	ended bool

	waiting []document
}

type document struct {
	bucket     string
	key, value []byte
}

func (r *reader) head() error {
	line, err := r.from.ReadSlice('\n')
	if err != nil || len(line) > maxInfo || json.Unmarshal(line, &r.sum.Info) != nil || r.sum.Format < 1 {
		return fmt.Errorf("%w: it is an age file, but not one of gatewayd", ErrDamaged)
	}
	if r.sum.Format > Format {
		return fmt.Errorf("%w: gatewayd %s made it with format %d, this one knows up to %d: install that version or a newer one", ErrVersion, r.sum.Version, r.sum.Format, Format)
	}
	return nil
}

// record reads one record. What is cut short, or changed, ends in an error of
// the decryption.
func (r *reader) record() error {
	kind, err := r.from.ReadByte()
	if err != nil {
		return damaged(err)
	}
	texts := map[byte]int{'c': 1, 's': 2, 'd': 3}[kind]
	if kind == 'e' {
		return r.end()
	}
	if texts == 0 {
		return fmt.Errorf("%w: a record of kind %q", ErrDamaged, kind)
	}
	var p [3][]byte
	for i := range texts {
		if p[i], err = r.text(); err != nil {
			return err
		}
	}
	r.n++
	switch kind {
	case 'c':
		r.sum.Config = string(p[0])
		return nil
	case 's':
		r.sum.Records[stateRecord]++
		return r.state(p[0], p[1])
	}
	r.sum.Records[string(p[0])]++
	if r.waiting = append(r.waiting, document{string(p[0]), p[1], p[2]}); len(r.waiting) < batch {
		return nil
	}
	return r.flush()
}

func damaged(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %v: it is not as it was written; take another copy", ErrDamaged, err) //nolint:errorlint // its kind doesn't matter
}

func (r *reader) text() ([]byte, error) {
	n, err := binary.ReadUvarint(r.from)
	if err != nil {
		return nil, damaged(err)
	}
	if n > maxText {
		return nil, fmt.Errorf("%w: a text of %d bytes", ErrDamaged, n)
	}
	var text bytes.Buffer // grows with what is there
	if _, err := io.CopyN(&text, r.from, int64(n)); err != nil {
		return nil, damaged(err)
	}
	return append([]byte{}, text.Bytes()...), nil // never nil, which would remove a document
}

// end checks that nothing is missing and nothing follows.
func (r *reader) end() error {
	n, err := binary.ReadUvarint(r.from)
	if err != nil {
		return damaged(err)
	}
	if n != r.n {
		return fmt.Errorf("%w: %d records of %d", ErrDamaged, r.n, n)
	}
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrDamaged)
	}
	r.ended = true
	return nil
}

func (r *reader) state(key, value []byte) error {
	if len(key) != 8 || len(value) > store.MaxStateSize {
		return fmt.Errorf("%w: a state of %d bytes with a key of %d", ErrDamaged, len(value), len(key))
	}
	if r.into == nil {
		return nil
	}
	return r.into.Append([8]byte(key), value)
}

// flush writes the documents that wait.
func (r *reader) flush() error {
	docs := r.waiting
	r.waiting = nil
	if r.into == nil || len(docs) == 0 {
		return nil
	}
	return r.into.Update(func(put func(bucket string, key, value []byte)) error {
		for _, d := range docs {
			put(d.bucket, d.key, d.value)
		}
		return nil
	})
}
