package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"gatewayd/dataapi"
)

// ringLines is how much of the log is kept in memory.
const ringLines = 2000

// hiddenFields never leave the log's own stream.
var hiddenFields = []string{"setup_code"}

// logRing is the last lines of the log, beside the stream that it is written
// to.
type logRing struct {
	mu    sync.Mutex
	lines []dataapi.LogLine
	last  uint64
}

func (r *logRing) add(l dataapi.LogLine) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	l.Number = r.last
	if len(r.lines) >= ringLines {
		r.lines = slices.Delete(r.lines, 0, len(r.lines)-ringLines+1)
	}
	r.lines = append(r.lines, l)
}

func (r *logRing) snapshot() []dataapi.LogLine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// ringHandler writes to the ring and hands on.
type ringHandler struct {
	slog.Handler
	ring   *logRing
	prefix string
	attrs  []slog.Attr // with their groups in their names
}

// withRing makes a logger that is remembered.
func withRing(log *slog.Logger) (*slog.Logger, *logRing) {
	ring := &logRing{}
	return slog.New(&ringHandler{Handler: log.Handler(), ring: ring}), ring
}

// Handle implements slog.Handler.
func (h *ringHandler) Handle(ctx context.Context, rec slog.Record) error {
	l := dataapi.LogLine{Time: float64(rec.Time.UnixMicro()) / 1e6, Level: strings.ToLower(rec.Level.String()), Message: rec.Message, Fields: map[string]string{}}
	take := func(prefix string, a slog.Attr) {
		if !slices.Contains(hiddenFields, a.Key) {
			l.Fields[prefix+a.Key] = a.Value.Resolve().String()
		}
	}
	for _, a := range h.attrs {
		take("", a)
	}
	rec.Attrs(func(a slog.Attr) bool { take(h.prefix, a); return true })
	h.ring.add(l)
	return h.Handler.Handle(ctx, rec)
}

// WithAttrs implements slog.Handler.
func (h *ringHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.Handler, next.attrs = h.Handler.WithAttrs(attrs), slices.Clone(h.attrs)
	for _, a := range attrs {
		next.attrs = append(next.attrs, slog.Attr{Key: h.prefix + a.Key, Value: a.Value})
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *ringHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.Handler, next.prefix = h.Handler.WithGroup(name), h.prefix+name+"."
	return &next
}
