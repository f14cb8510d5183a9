package store

import "time"

// Stats counts what the store did since Open; for /metrics and for the wear
// of the flash.
type Stats struct {
	Appends      uint64 // Append and Forget
	Syncs        uint64 // of the journal; each transaction adds two
	Transactions uint64 // of the database
	Folds        uint64
	FoldTime     time.Duration // of the last background fold
	BytesJournal int64         // records written
	BytesDB      int64         // pages written by transactions
	JournalSize  int64         // bytes of records that wait to be folded
	Unsynced     uint64        // appends that a power cut would lose now
	States       int
}

// Stats returns the counts.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.States = len(s.states)
	st.Unsynced = s.sequence - s.synced
	for _, g := range []*segment{s.active, s.full} {
		if g != nil {
			st.JournalSize += g.end - headerSize
		}
	}
	return st
}
