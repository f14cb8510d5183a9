package powercut

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Kill makes a directory as it was after the first events: what a killed
// process leaves. What is not durable then is not durable for the next process
// either: the Disk that is returned is for that one and knows it. Its events
// go on from the given number.
func (d *Disk) Kill(events int, to string) (*Disk, error) {
	m := d.image(events)
	if err := m.write(to, nil); err != nil { // also brings m.names up to date
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Disk{
		dir: to, base: d.base, events: slices.Clip(d.events[:events]), start: events,
		names: m.names, files: d.files, db: map[string][]byte{},
	}, nil
}

// Cut makes a directory as a power cut after the first events may leave it.
func (d *Disk) Cut(events int, rng *rand.Rand, to string) error {
	return d.image(events).write(to, rng)
}

// Turns are the moments before and after everything but plain writes: syncs,
// new sizes and names. Between them are the phases of folds and transactions,
// where random moments seldom fall.
func (d *Disk) Turns() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var turns []int
	for i, e := range d.events {
		if i >= d.start && e.kind != opWrite {
			turns = append(turns, i, i+1)
		}
	}
	return turns
}

// image is the disk at a moment.
type image struct {
	names   map[string]int // durable
	pending []event        // changes of names since
	files   map[int]*contents
}

// contents of a file.
type contents struct {
	durable []byte
	pending []pending // since the last sync
}

type pending struct {
	event
	number int
}

// sync makes durable what was written before a sync began.
func (c *contents) sync(began int) {
	for len(c.pending) > 0 && c.pending[0].number < began {
		c.durable = change(c.durable, c.pending[0].event)
		c.pending = c.pending[1:]
	}
}

// image replays the first events.
func (d *Disk) image(events int) *image {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &image{names: map[string]int{}, files: map[int]*contents{}}
	for i, name := range slices.Sorted(maps.Keys(d.base)) {
		m.names[name] = i
		m.files[i] = &contents{durable: slices.Clone(d.base[name])}
	}
	for i, e := range d.events[:events] {
		m.apply(i, e)
	}
	return m
}

// apply applies event i.
func (m *image) apply(i int, e event) {
	switch e.kind {
	case opCreate:
		m.files[e.file] = &contents{}
		m.pending = append(m.pending, e)
	case opRename, opRemove:
		m.pending = append(m.pending, e)
	case opSyncDir:
		for _, p := range m.pending {
			rename(m.names, p)
		}
		m.pending = nil
	case opSync:
		m.files[e.file].sync(int(e.off))
	case opWrite, opTruncate:
		c := m.files[e.file]
		c.pending = append(c.pending, pending{e, i})
	}
}

func rename(names map[string]int, e event) {
	switch e.kind {
	case opCreate:
		names[e.name] = e.file
	case opRename:
		names[e.to] = names[e.name]
		delete(names, e.name)
	case opRemove:
		delete(names, e.name)
	}
}

// change applies a write or truncation.
func change(b []byte, e event) []byte {
	if e.kind == opTruncate {
		return resize(b, int(e.off))
	}
	end := int(e.off) + len(e.data)
	if end > len(b) {
		b = resize(b, end)
	}
	copy(b[e.off:], e.data)
	return b
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	old := len(b)
	b = slices.Grow(b, size-old)[:size]
	clear(b[old:])
	return b
}

// write makes the directory; a nil rng keeps everything.
func (m *image) write(to string, rng *rand.Rand) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	changes := m.pending
	if rng != nil {
		changes = changes[:rng.IntN(len(changes)+1)]
	}
	for _, e := range changes {
		rename(m.names, e)
	}
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		c := m.files[m.names[name]]
		if err := os.WriteFile(filepath.Join(to, name), c.after(rng), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// after is what a power cut leaves of the file.
func (c *contents) after(rng *rand.Rand) []byte {
	keep := len(c.pending) // that reached the disk for sure
	if rng != nil {
		keep = rng.IntN(keep + 1)
		switch rng.IntN(3) {
		case 0: // nothing did
			keep = 0
		case 1: // in order, up to some point, and then one torn
			b := slices.Clone(c.durable)
			for _, e := range c.pending[:keep] {
				b = change(b, e.event)
			}
			if keep < len(c.pending) {
				e := c.pending[keep]
				e.data = e.data[:rng.IntN(len(e.data)+1)]
				b = change(b, e.event)
			}
			return b
		default:
			return c.shuffled(rng)
		}
	}
	b := slices.Clone(c.durable)
	for _, e := range c.pending[:keep] {
		b = change(b, e.event)
	}
	return b
}

// shuffled lets every sector have any of the contents it had since the last
// sync, and tears some.
func (c *contents) shuffled(rng *rand.Rand) []byte {
	versions := map[int][][]byte{} // by sector
	sizes := []int{len(c.durable)}
	b := slices.Clone(c.durable)
	for _, e := range c.pending {
		b = change(b, e.event)
		sizes = append(sizes, len(b))
		from, to := int(e.off), int(e.off)+len(e.data)
		for s := from / sector; s*sector < to; s++ {
			versions[s] = append(versions[s], slices.Clone(part(b, s)))
		}
	}
	stale := rng.Float64() // how much is lost
	b = resize(slices.Clone(c.durable), sizes[rng.IntN(len(sizes))])
	if rng.IntN(4) == 0 { // a new size without contents, garbage in its place
		for i := len(c.durable); i < len(b); i++ {
			b[i] = byte(rng.Uint32())
		}
	}
	for _, s := range slices.Sorted(maps.Keys(versions)) {
		if rng.Float64() < stale {
			continue
		}
		v := versions[s][rng.IntN(len(versions[s]))]
		from, to := 0, len(v)
		switch torn := rng.IntN(to + 1); rng.IntN(12) {
		case 0:
			from = torn
		case 1:
			to = torn
		}
		p := part(b, s)
		copy(p[min(from, len(p)):], v[from:to])
	}
	return b
}

// part is a sector of a file, shorter or empty at its end.
func part(b []byte, s int) []byte {
	from, to := min(s*sector, len(b)), min((s+1)*sector, len(b))
	return b[from:to]
}
