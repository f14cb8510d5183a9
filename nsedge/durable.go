package nsedge

import "context"

// reserver keeps FCntDown safe from power cuts: a value is used only after a
// higher mark is on the disk. Marks are raised in blocks, early, and synced
// off the owner's goroutine, so that the disk stands in nobody's way.
type reserver struct {
	queue   []reservation
	syncing bool
}

type reservation struct {
	s             *session
	mark, appMark uint32
}

// downCounter is FCntDown, or one of the two of LoRaWAN 1.1: AFCntDown for
// what an application sends, NFCntDown for the rest.
type downCounter struct {
	next *uint32
	safe *uint32 // those below it are reserved on disk
	mark *uint32 // those that may have been used end below it
}

func (s *session) downCounter(app bool) downCounter {
	if app && s.v11 {
		return downCounter{&s.appDown, &s.appSafe, &s.appMark}
	}
	return downCounter{&s.down, &s.safe, &s.mark}
}

// nextApp is the counter of the next downlink from an application.
func (s *session) nextApp() uint32 { return *s.downCounter(true).next }

// raise moves the mark where too few counters from next on are reserved, and
// tells whether that is so.
func (d downCounter) raise(next uint32) bool {
	if uint64(*d.safe) >= uint64(next)+reserve/2 {
		return false
	}
	*d.mark = max(*d.mark, uint32(min(uint64(next)+reserve, maxCounter)))
	return true
}

func (r *reserver) restart() { *r = reserver{} }

// record writes the session's counters to the journal. Where reserved
// downlink counters run out, or next, which may be the application's, is not
// among them, it raises the mark and has it synced.
func (e *Edge) record(s *session, next uint32, app bool) error {
	short := s.downCounter(app).raise(next)
	if s.v11 {
		other := s.downCounter(!app)
		short = other.raise(*other.next) || short
	}
	e.scratch = s.appendState(e.scratch[:0], s.gen)
	if err := e.cfg.Store.Append(s.dev.spec.DevEUI, e.scratch); err != nil {
		return err
	}
	if short {
		e.reserver.queue = append(e.reserver.queue, reservation{s, s.mark, s.appMark})
		e.syncMarks()
	}
	return nil
}

// syncMarks makes the queued marks, which were recorded, durable.
func (e *Edge) syncMarks() {
	r := &e.reserver
	if r.syncing || len(r.queue) == 0 {
		return
	}
	batch := r.queue
	started := e.background(func(ctx context.Context) func() {
		err := e.cfg.Store.Sync(ctx)
		return func() { e.marksSynced(batch, err) }
	})
	if started {
		r.queue, r.syncing = nil, true
	}
}

// marksSynced lets the sessions use their counters, and lets downlinks go
// that waited for them.
func (e *Edge) marksSynced(batch []reservation, err error) {
	e.reserver.syncing = false
	if err != nil {
		e.log.Warn("sync of downlink counters failed", "err", err)
		e.reserver.queue = append(batch, e.reserver.queue...)
		return
	}
	for _, b := range batch {
		b.s.safe, b.s.appSafe = max(b.s.safe, b.mark), max(b.s.appSafe, b.appMark)
		if b.s.dev.traffic == nil || b.s.dev.win == nil || e.running == nil {
			continue
		}
		if w := b.s.dev.win; w.s == b.s && w.waiting != nil && !w.holding {
			e.flush(w)
		}
	}
}
