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

// record writes the session's counters to the journal. Where reserved
// downlink counters run out, or next is not among them, it raises the mark and
// has it synced.
func (e *Edge) record(s *session, next uint32) error {
	short := uint64(s.safe) < uint64(next)+reserve/2
	if short {
		s.mark = max(s.mark, uint32(min(uint64(next)+reserve, maxCounter)))
	}
	e.scratch = s.appendState(e.scratch[:0], s.gen)
	if err := e.cfg.Store.Append(s.dev.spec.DevEUI, e.scratch); err != nil {
		return err
	}
	if short {
		e.reserver.queue = append(e.reserver.queue, reservation{s, s.mark})
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
		b.s.safe = max(b.s.safe, b.mark)
		if b.s.dev.traffic == nil || b.s.dev.win == nil || e.running == nil {
			continue
		}
		if w := b.s.dev.win; w.s == b.s && w.waiting != nil && !w.holding {
			e.flush(w)
		}
	}
}
