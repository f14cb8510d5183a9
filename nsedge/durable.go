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
	s    *session
	mark uint32
}

func (r *reserver) restart() { *r = reserver{} }

// prepareCounters raises the mark of a session that is about to run out. The
// caller records the session afterwards.
func (e *Edge) prepareCounters(s *session) {
	if s.safe >= s.down+reserve/2 && s.mark >= s.safe {
		return
	}
	if s.mark < s.down+reserve {
		s.mark = s.down + reserve
	}
	e.reserver.queue = append(e.reserver.queue, reservation{s, s.mark})
}

// syncMarks makes the queued marks durable; call it after they were recorded.
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
		b.s.safe = max(b.s.safe, b.mark)
		if b.s.dev.traffic == nil || b.s.dev.win == nil {
			continue
		}
		if w := b.s.dev.win; w.s == b.s && w.waiting != nil && !w.holding {
			e.flush(w)
		}
	}
}
