package powercut_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatewayd/nsedge/store"
	"gatewayd/nsedge/store/powercut"
)

// change is one Append, or a Forget if the value is empty.
type change struct {
	key   byte
	value string
}

// version of all documents, from the event at which the change to it began
// until the one at which it was acknowledged.
type version struct {
	began, acked int
	documents    map[string]string
}

// mark says that at an event a number of changes had happened.
type mark struct{ event, changes int }

// life is one process's life on one disk, and what it has been promised.
type life struct {
	disk    *powercut.Disk
	opened  int // event at which Open returned
	changes []change
	begun   []mark // calls of Append: might be durable
	written []mark // returned: outlive a kill
	synced  []mark // acknowledged: outlive a power cut
	docs    []version
	// before Open returned, what the life before had been promised
	before *promise
}

// promise is what must be found in a directory.
type promise struct {
	changes []change
	lo, hi  int // of changes that are there
	docs    []map[string]string

	// After a kill, the disk that goes on, and what must be found if the
	// power is cut before the next process has recovered everything.
	disk *powercut.Disk
	cut  *promise
}

func last(marks []mark, at int) int {
	n := 0
	for _, m := range marks {
		if m.event <= at {
			n = m.changes
		}
	}
	return n
}

// promised at an event, if the process was killed or the power was cut there.
func (l *life) promised(at int, killed bool) *promise {
	if at < l.opened {
		if !killed && l.before.cut != nil {
			return l.before.cut
		}
		return l.before
	}
	p := &promise{changes: l.changes, hi: last(l.begun, at)}
	p.lo = last(l.synced, at)
	if killed {
		p.lo = last(l.written, at)
	}
	for i, v := range l.docs {
		if v.began <= at && (i+1 == len(l.docs) || at < l.docs[i+1].acked) {
			p.docs = append(p.docs, v.documents)
		}
	}
	return p
}

func states(changes []change) map[byte]string {
	m := map[byte]string{}
	for _, c := range changes {
		if c.value == "" {
			delete(m, c.key)
		} else {
			m[c.key] = c.value
		}
	}
	return m
}

// check compares a store with a promise and says how many changes it has.
func (p *promise) check(s *store.Store) (n int, docs map[string]string, err error) {
	found := map[byte]string{}
	err = s.EachState(func(k [8]byte, v []byte) error {
		found[k[7]] = string(v)
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	n = -1
	for i := p.hi; i >= p.lo && n < 0; i-- {
		if maps.Equal(states(p.changes[:i]), found) {
			n = i
		}
	}
	if n < 0 {
		return 0, nil, fmt.Errorf("states are not those after %d to %d changes: %.300v; after %d they are %.300v", p.lo, p.hi, found, p.lo, states(p.changes[:p.lo]))
	}
	docs = map[string]string{}
	if err := s.Each("docs", func(k, v []byte) error {
		docs[string(k)] = string(v)
		return nil
	}); err != nil {
		return 0, nil, err
	}
	for _, d := range p.docs {
		if maps.Equal(d, docs) {
			return n, docs, nil
		}
	}
	return 0, nil, fmt.Errorf("documents are %v, want one of %v", docs, p.docs)
}

const journalSize = 4096

// open begins a life: it opens a directory and checks what the life before
// was promised.
func open(dir string, before *promise) (*life, *store.Store, error) {
	disk := before.disk
	if disk == nil {
		var err error
		if disk, err = powercut.New(dir); err != nil {
			return nil, nil, err
		}
	}
	s, err := store.Open(dir, store.Options{JournalSize: journalSize, Disk: disk})
	if err != nil {
		return nil, nil, err
	}
	n, docs, err := before.check(s)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	l := &life{disk: disk, before: before, opened: disk.Events(), changes: before.changes[:n:n]}
	now := mark{l.opened, n}
	l.begun, l.written, l.synced = []mark{now}, []mark{now}, []mark{now}
	l.docs = []version{{l.opened, l.opened, docs}}
	return l, s, nil
}

// live opens a directory and works for a while.
func live(dir string, before *promise, rng *rand.Rand) (*life, error) {
	l, s, err := open(dir, before)
	if err != nil {
		return nil, err
	}
	for range rng.IntN(250) {
		if err := l.step(s, rng); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if rng.IntN(150) == 0 {
			if err := s.Close(); err != nil {
				return nil, err
			}
			l.synced = append(l.synced, mark{l.disk.Events(), len(l.changes)})
			if s, err = store.Open(dir, store.Options{JournalSize: journalSize, Disk: l.disk}); err != nil {
				return nil, err
			}
		}
	}
	return l, s.Close()
}

// step does one random thing and notes what it promised.
func (l *life) step(s *store.Store, rng *rand.Rand) error {
	began := l.disk.Events()
	switch what := rng.IntN(100); {
	case what < 84:
		c := change{key: byte(rng.IntN(20))}
		k := [8]byte{7: c.key}
		_, there := s.State(k)
		if there && what == 0 {
			l.begin(c, began)
			if err := s.Forget(k); err != nil {
				return err
			}
		} else {
			// Mostly of one size, so that a stale record may stand exactly
			// where a new one ends.
			size := 12
			if rng.IntN(10) == 0 {
				size = 12 + rng.IntN(240)
			}
			v := binary.BigEndian.AppendUint64(make([]byte, 0, size), uint64(len(l.changes)))
			c.value = string(v) + strings.Repeat("x", size-len(v))
			l.begin(c, began)
			if err := s.Append(k, []byte(c.value)); err != nil {
				return err
			}
		}
		l.written = append(l.written, mark{l.disk.Events(), len(l.changes)})
	case what < 92:
		if err := s.Sync(context.Background()); err != nil {
			return err
		}
		l.synced = append(l.synced, mark{l.disk.Events(), len(l.changes)})
	default:
		return l.document(s, rng, began)
	}
	return nil
}

func (l *life) begin(c change, at int) {
	l.changes = append(l.changes, c)
	l.begun = append(l.begun, mark{at, len(l.changes)})
}

func (l *life) document(s *store.Store, rng *rand.Rand, began int) error {
	docs := maps.Clone(l.docs[len(l.docs)-1].documents)
	k := fmt.Sprint("d", rng.IntN(5))
	v := strings.Repeat(fmt.Sprint(began, "."), rng.IntN(800)) + "."
	var err error
	switch rng.IntN(4) {
	case 0:
		delete(docs, k)
		err = s.Delete("docs", []byte(k))
	case 1: // both or none
		docs[k], docs["x"+k] = v, v
		err = s.PutAll("docs", func(yield func(k, v []byte) bool) {
			_ = yield([]byte(k), []byte(v)) && yield([]byte("x"+k), []byte(v))
		})
	default:
		docs[k] = v
		err = s.Put("docs", []byte(k), []byte(v))
	}
	l.docs = append(l.docs, version{began, l.disk.Events(), docs})
	return err
}

// end makes the directory that the end of a life at a random moment leaves.
func (l *life) end(rng *rand.Rand, to string) (*promise, error) {
	at := l.disk.Start() + rng.IntN(l.disk.Events()-l.disk.Start()+1)
	if turns := l.disk.Turns(); len(turns) > 0 && rng.IntN(2) == 0 {
		at = turns[rng.IntN(len(turns))]
	}
	if rng.IntN(4) > 0 {
		p := *l.promised(at, false)
		p.disk, p.cut = nil, nil
		return &p, l.disk.Cut(at, rng, to)
	}
	p := *l.promised(at, true)
	p.cut = l.promised(at, false)
	var err error
	p.disk, err = l.disk.Kill(at, to)
	return &p, err
}

// 500 power cuts and kills, each at any moment of a life that began with what
// the one before left: while the store is being made, recovered, folded,
// closed. Whatever happens, the store opens, has everything that was
// acknowledged, and is in a state that it once was in.
func TestPowerCutLosesNothingAcknowledgedAndRevivesNothing(t *testing.T) {
	const chains, cuts = 100, 5
	temp := powercut.TempDir(t)
	for chain := range uint64(chains) {
		rng := rand.New(rand.NewPCG(chain, 47))
		root := filepath.Join(temp, fmt.Sprint(chain))
		before := &promise{docs: []map[string]string{{}}}
		for i := range cuts + 1 {
			dir := filepath.Join(root, fmt.Sprint(i))
			l, err := live(dir, before, rng)
			if err != nil {
				t.Fatalf("chain %d, after %d cuts: %v", chain, i, err)
			}
			if before, err = l.end(rng, filepath.Join(root, fmt.Sprint(i+1))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A fold writes the states in several transactions. The power is cut before,
// in and after each of them, while nothing was ever synced by a caller.
func TestPowerCutDuringAFoldLeavesOneMoment(t *testing.T) {
	dir := powercut.TempDir(t)
	l, s, err := open(filepath.Join(dir, "live"), &promise{docs: []map[string]string{{}}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * journalSize / recordSize {
		c := change{byte(i % 50), fmt.Sprintf("%08d", i)}
		l.begin(c, l.disk.Events())
		if err := s.Append([8]byte{7: c.key}, []byte(c.value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 47))
	for i, at := range l.disk.Turns() {
		cut := filepath.Join(dir, fmt.Sprint(i))
		if err := l.disk.Cut(at, rng, cut); err != nil {
			t.Fatal(err)
		}
		p := l.promised(at, false)
		_, s, err := open(cut, p)
		if err != nil {
			t.Fatalf("cut at event %d: %v", at, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A process is killed at any write, the next one goes on with what it finds,
// and then the power is cut: what the first one had no time to sync must not
// matter to what the second one promised.
func TestAPowerCutAfterAKillLosesNothingAcknowledged(t *testing.T) {
	dir := powercut.TempDir(t)
	rng := rand.New(rand.NewPCG(2, 47))
	work := func(dir string, before *promise, rounds int) *life {
		t.Helper()
		l, s, err := open(dir, before)
		if err != nil {
			t.Fatal(err)
		}
		for range rounds {
			if err := l.document(s, rng, l.disk.Events()); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				c := change{byte(rng.IntN(5)), fmt.Sprintf("%08d", len(l.changes))}
				l.begin(c, l.disk.Events())
				if err := s.Append([8]byte{7: c.key}, []byte(c.value)); err != nil {
					t.Fatal(err)
				}
				l.written = append(l.written, mark{l.disk.Events(), len(l.changes)})
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := work(filepath.Join(dir, "first"), &promise{docs: []map[string]string{{}}}, 6)
	for _, at := range slices.Compact(first.disk.Turns()) {
		killed := *first.promised(at, true)
		killed.cut = first.promised(at, false)
		var err error
		to := filepath.Join(dir, fmt.Sprint("killed", at))
		if killed.disk, err = first.disk.Kill(at, to); err != nil {
			t.Fatal(err)
		}
		second := work(to, &killed, 1)
		for i := range 15 {
			cut := filepath.Join(to, fmt.Sprint("cut", i))
			at := second.disk.Start() + rng.IntN(second.disk.Events()-second.disk.Start()+1)
			p := *second.promised(at, false)
			p.disk, p.cut = nil, nil
			if err := second.disk.Cut(at, rng, cut); err != nil {
				t.Fatal(err)
			}
			_, s, err := open(cut, &p)
			if err != nil {
				t.Fatalf("killed at %d, cut at %d: %v", killed.disk.Start(), at, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
