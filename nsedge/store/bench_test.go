package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A session's state and a device's document, about as large as nsedge's.
const (
	benchState    = 64
	benchDocument = 300
	benchDevices  = 100_000
)

// fillDevices makes a store with so many devices and their states.
func fillDevices(b *testing.B, s *Store) {
	b.Helper()
	doc := make([]byte, benchDocument)
	if err := s.PutAll("devices", func(yield func(k, v []byte) bool) {
		for i := range uint64(benchDevices) {
			if k := key(i * 0x9e3779b97f4a7c15); !yield(k[:], doc) {
				return
			}
		}
	}); err != nil {
		b.Fatal(err)
	}
	appendAll(b, s)
}

func appendAll(b *testing.B, s *Store) {
	b.Helper()
	state := make([]byte, benchState)
	for i := range uint64(benchDevices) {
		if err := s.Append(key(i*0x9e3779b97f4a7c15), state); err != nil {
			b.Fatal(err)
		}
	}
}

// What an uplink costs, with the background sync as it is, and how long the
// slowest one of an hour's load (1000 uplinks/s for 60 s are 60 000) takes
// beside syncs and folds.
func BenchmarkAppend(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	fillDevices(b, s)
	state := make([]byte, benchState)
	var worst time.Duration
	before := s.Stats()
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		began := time.Now()
		if err := s.Append(key(i%benchDevices*0x9e3779b97f4a7c15), state); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(began))
	}
	st := s.Stats()
	b.ReportMetric(float64(st.BytesJournal-before.BytesJournal)/float64(i), "journal-B/op")
	b.ReportMetric(float64(st.BytesDB-before.BytesDB)/float64(i), "db-B/op")
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
	b.ReportMetric(float64(st.FoldTime.Milliseconds()), "fold-ms")
}

// Appends while another goroutine syncs without a pause: what the kernel adds.
func BenchmarkAppendBesideSync(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			if err := s.Sync(ctx); err != nil && !errors.Is(err, context.Canceled) {
				b.Error(err)
			}
		}
	})
	state := make([]byte, benchState)
	var worst time.Duration
	for i := uint64(0); b.Loop(); i++ {
		began := time.Now()
		if err := s.Append(key(i%100), state); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(began))
	}
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
	cancel()
	work.Wait()
}

// A durable document: two fdatasyncs.
func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	doc := make([]byte, benchDocument)
	for i := 0; b.Loop(); i++ {
		if err := s.Put("devices", fmt.Appendf(nil, "%d", i%1000), doc); err != nil {
			b.Fatal(err)
		}
	}
	st := s.Stats()
	b.ReportMetric(float64(st.BytesDB)/float64(st.Transactions), "db-B/op")
}

// Start with 100 000 devices: after a clean stop, and after a kill with a
// journal full of states of different devices. Reading all documents and
// states is included, as nsedge does it.
func BenchmarkOpen(b *testing.B) {
	for _, killed := range []bool{false, true} {
		b.Run(fmt.Sprintf("killed=%v", killed), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, dir, Options{})
			fillDevices(b, s)
			for b.Loop() {
				b.StopTimer()
				if killed {
					appendAll(b, s)
					abandon(b, s)
				} else if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				b.StartTimer()
				s = open(b, dir, Options{})
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/benchDevices, "heap-B/state")
				b.StartTimer()
				readAll(b, s)
			}
		})
	}
}

func readAll(b *testing.B, s *Store) {
	b.Helper()
	n := 0
	err := errors.Join(
		s.Each("devices", func(_, _ []byte) error { n++; return nil }),
		s.EachState(func([8]byte, []byte) error { n++; return nil }))
	if err != nil || n != 2*benchDevices {
		b.Fatal(n, err)
	}
}

// abandon leaves the files as a killed process does.
func abandon(b *testing.B, s *Store) {
	b.Helper()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.work.Wait()
	if err := s.release(); err != nil {
		b.Fatal(err)
	}
}

// Import of 100 000 devices.
func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		s := open(b, b.TempDir(), Options{})
		fillDevices(b, s)
	}
}
