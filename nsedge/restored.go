package nsedge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"gatewayd/radio"
)

// A backup is of yesterday: since then the gateway went on counting. What goes
// on from a backup begins so far ahead that nothing is used twice.
const (
	// RestoredDown is how many FCntDown of each session are skipped.
	RestoredDown = 8192
	// RestoredJoins is how many JoinNonces of each device are skipped.
	RestoredJoins = 1024
)

// bucketRestored holds what [Restored] left: by DevEUI the counters at which
// each session goes on, by floorOfJoins the first JoinNonce of devices that had
// not joined.
const bucketRestored = "restored"

var floorOfJoins = []byte("joins")

// floor is where the downlink counters of one session go on.
type floor struct {
	gen       byte
	down, app uint32 // FCntDown or NFCntDown; AFCntDown of 1.1
}

// Restored makes a store that was filled from a backup good for use. Call it
// once, after all documents and states are in the store and before [New].
func Restored(ctx context.Context, s Store) error {
	u, ok := s.(updater)
	if !ok {
		return errors.New("nsedge: the store can't change many documents at once")
	}
	e := &Edge{cfg: Config{Store: s}, byEUI: map[radio.EUI64]*device{}}
	if err := errors.Join(e.loadDevices(), e.loadCounters(), e.loadFloors()); err != nil {
		return fmt.Errorf("nsedge: %w", err)
	}
	err := u.Update(func(put func(bucket string, key, value []byte)) error {
		for _, d := range e.order {
			var floors []floor
			for _, s := range d.sessions() {
				floors = append(floors, floor{s.gen, ahead(s.down), ahead(s.appDown)})
			}
			if floors != nil {
				put(bucketRestored, d.spec.DevEUI[:], encodeFloors(floors))
			}
		}
		put(bucketRestored, floorOfJoins, binary.AppendUvarint(nil, uint64(e.firstJoin+RestoredJoins)))
		return s.Each(bucketJoins, func(k, v []byte) error {
			j, err := decodeJoinState(v)
			if err != nil {
				return fmt.Errorf("join state of %x: %w", k, err)
			}
			j.nonce = min(j.nonce+RestoredJoins, maxJoinNonce)
			put(bucketJoins, k, j.encode())
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("nsedge: %w", err)
	}
	return s.Sync(ctx)
}

// ahead is a counter after which none was used since the backup. The last one
// says that the device has to join again.
func ahead(c uint32) uint32 { return uint32(min(uint64(c)+RestoredDown, maxCounter)) }

func encodeFloors(fs []floor) (b []byte) {
	for _, f := range fs {
		b = append(b, f.gen)
		b = binary.AppendUvarint(b, uint64(f.down))
		b = binary.AppendUvarint(b, uint64(f.app))
	}
	return b
}

func decodeFloors(b []byte) (fs []floor, ok bool) {
	r := reader{b: b}
	for len(r.b) > 0 && !r.failed {
		fs = append(fs, floor{r.byte(), uint32(r.uvarint(maxCounter)), uint32(r.uvarint(maxCounter))})
	}
	return fs, !r.failed
}

// loadFloors raises what a restored backup left.
func (e *Edge) loadFloors() error {
	return e.cfg.Store.Each(bucketRestored, func(k, v []byte) error {
		if string(k) == string(floorOfJoins) {
			r := reader{b: v}
			e.firstJoin = uint32(r.uvarint(maxJoinNonce))
			return nil
		}
		fs, ok := decodeFloors(v)
		if !ok || len(k) != len(radio.EUI64{}) {
			return fmt.Errorf("counters of %x after a restore: %d bytes can't be read", k, len(v))
		}
		d := e.byEUI[radio.EUI64(k)]
		if d == nil {
			return nil
		}
		for _, s := range d.sessions() {
			for _, f := range fs {
				if f.gen == s.gen {
					s.raise(f)
				}
			}
		}
		return nil
	})
}

// raise lets a session go on at a floor, which is on the disk.
func (s *session) raise(f floor) {
	s.mark, s.down, s.safe = max(s.mark, f.down), max(s.down, f.down), max(s.safe, f.down)
	if s.v11 {
		s.appMark, s.appDown, s.appSafe = max(s.appMark, f.app), max(s.appDown, f.app), max(s.appSafe, f.app)
	}
}
