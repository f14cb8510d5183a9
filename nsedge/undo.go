package nsedge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatewayd/radio"
)

// bucketUndo has the last bulk change, by DevEUI.
const bucketUndo = "undo"

// ErrNothingToUndo says that no bulk change is left to take back.
var ErrNothingToUndo = errors.New("there is no import to take back: it was taken back already, or there was none")

// undone is a device of the last bulk change, as it was and as it became.
type undone struct {
	eui    radio.EUI64
	at     time.Time
	renew  bool
	after  [sha256.Size]byte // of the document that was written
	before []byte            // the document from before; nil: it was created
}

const undoVersion = 1

func encodeUndo(p *plan) []byte {
	renew := byte(0)
	if p.renew {
		renew = 1
	}
	sum := sha256.Sum256(p.after)
	b := binary.AppendVarint([]byte{undoVersion, renew}, time.Now().Unix())
	return append(append(b, sum[:]...), p.before...)
}

func decodeUndo(k, v []byte) (u undone, err error) {
	r := reader{b: v}
	version := r.byte()
	u.renew = r.byte() == 1
	u.at = time.Unix(r.varint(), 0)
	r.bytes(u.after[:])
	if r.failed || version != undoVersion || len(k) != len(u.eui) {
		return u, fmt.Errorf("undo of %x: not of a known version", k)
	}
	u.eui = radio.EUI64(k)
	if len(r.b) > 0 {
		u.before = bytes.Clone(r.b)
	}
	return u, nil
}

func (e *Edge) undoKeys() (keys [][]byte, err error) {
	err = e.cfg.Store.Each(bucketUndo, func(k, _ []byte) error {
		keys = append(keys, bytes.Clone(k))
		return nil
	})
	return keys, err
}

// UndoChanges takes the last bulk change back: what it created is removed,
// what it changed is as before. It refuses, and does nothing, if one of the
// devices was changed or used since; the *[Refusal] names it.
func (e *Edge) UndoChanges(ctx context.Context) (int, error) {
	e.docs.Lock()
	defer e.docs.Unlock()
	st, ok := e.cfg.Store.(updater)
	if !ok {
		return 0, ErrNothingToUndo
	}
	var all []undone
	err := e.cfg.Store.Each(bucketUndo, func(k, v []byte) error {
		u, err := decodeUndo(k, v)
		all = append(all, u)
		return err
	})
	if err == nil && len(all) == 0 {
		err = ErrNothingToUndo
	}
	for i := 0; err == nil && i < len(all); i++ {
		err = e.mayUndo(ctx, &all[i])
	}
	if err == nil {
		err = st.Update(func(put func(string, []byte, []byte)) error { return e.putUndone(put, all) })
	}
	if err == nil {
		err = e.revealUndone(context.WithoutCancel(ctx), all)
	}
	if err != nil {
		return 0, fmt.Errorf("undo: %w", err)
	}
	return len(all), nil
}

// mayUndo tells why a device must stay as it is.
func (e *Edge) mayUndo(ctx context.Context, u *undone) error {
	now, err := e.cfg.Store.Get(bucketDevices, u.eui[:])
	if err != nil {
		return err
	}
	used := false
	if err := e.do(ctx, func() {
		if d := e.byEUI[u.eui]; d != nil {
			used = slices.ContainsFunc(d.sessions(), func(s *session) bool { return s.usedSince(u.at) })
		}
	}); err != nil {
		return err
	}
	switch {
	case now == nil:
		return invalid("dev_eui", "%v was removed since the import: nothing was taken back", u.eui)
	case sha256.Sum256(now) != u.after:
		return invalid("dev_eui", "%v was changed since the import: nothing was taken back. Change it back, or correct the other devices with another import", u.eui)
	case u.before == nil && used:
		return invalid("dev_eui", "%v has joined or was heard since the import: nothing was taken back. Remove the devices that are not wanted one by one", u.eui)
	case u.renew:
		return invalid("dev_eui", "%v got a new session by the import, and the old one can't come back without using counters again: nothing was taken back", u.eui)
	}
	return nil
}

// putUndone writes what is left of the devices.
func (e *Edge) putUndone(put func(string, []byte, []byte), all []undone) error {
	for i := range all {
		u := &all[i]
		put(bucketUndo, u.eui[:], nil)
		put(bucketDevices, u.eui[:], u.before)
		if u.before != nil {
			continue
		}
		put(bucketRadio, u.eui[:], nil)
		raw, err := e.cfg.Store.Get(bucketJoins, u.eui[:])
		if err != nil {
			return err
		}
		if raw == nil {
			continue
		}
		j, err := decodeJoinState(raw)
		if err != nil {
			return err
		}
		j.standing = standing{}
		j.nonces, j.rejoin1, j.rejoin0 = nil, 0, 0 // the JoinNonce goes on
		put(bucketJoins, u.eui[:], j.encode())
	}
	return nil
}

// revealUndone makes the edge know it.
func (e *Edge) revealUndone(ctx context.Context, all []undone) error {
	var failed error
	for page := range slices.Chunk(all, devicePage) {
		if err := e.do(ctx, func() {
			for _, u := range page {
				d := e.byEUI[u.eui]
				if u.before == nil {
					e.remove(d)
					failed = errors.Join(failed, e.cfg.Store.Forget(u.eui))
					continue
				}
				spec, gen, err := decodeDocument(u.before)
				if err != nil {
					failed = errors.Join(failed, err)
					continue
				}
				e.swap(spec, gen, false)
			}
		}); err != nil {
			return err
		}
	}
	return failed
}
