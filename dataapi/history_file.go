package dataapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"sync/atomic"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// historyFile keeps a history across restarts: a line of JSON for each event,
// in two files, PATH and PATH.1. When PATH has its size, it takes the place of
// PATH.1, so that the two never take more than twice that. It is a cache:
// nothing waits for the disk, nothing is synced, and a line that a power cut
// tore is skipped.
type historyFile struct {
	path    string
	most    int // bytes of one of the files
	lines   chan past
	dropped atomic.Uint64 // events that the disk was too slow for
}

// linesWaiting bounds the events that wait for the disk.
const linesWaiting = 1024

// longestLine bounds what is read of a line; an event is much shorter.
const longestLine = 1 << 20

// pastLine is a line of the file.
type pastLine struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	At    int64           `json:"at"` // unix µs, when it was recorded
	LoRa  *radio.LoRa     `json:"lora,omitempty"`
	FSK   *radio.FSK      `json:"fsk,omitempty"`
	Event json.RawMessage `json:"event"`
}

func newHistoryFile(path string, most int) *historyFile {
	return &historyFile{path: path, most: most, lines: make(chan past, linesWaiting)}
}

// keep hands an event to the writer. It never blocks.
func (f *historyFile) keep(p past) {
	select {
	case f.lines <- p:
	default:
		f.dropped.Add(1)
	}
}

// run writes until the context ends, and what was handed over before.
func (f *historyFile) run(ctx context.Context, log *slog.Logger) {
	for {
		err := f.write(ctx)
		if err == nil {
			return
		}
		log.Error("the history file can't be written; it is tried again in a minute", slog.String("file", f.path), slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
	}
}

// write appends to the file; it returns nil when the context has ended.
func (f *historyFile) write(ctx context.Context) error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := int(info.Size())
	w := bufio.NewWriter(file)
	for {
		var p past
		select {
		case p = <-f.lines:
		default:
			if err := w.Flush(); err != nil {
				return err
			}
			select {
			case p = <-f.lines:
			case <-ctx.Done():
				if len(f.lines) == 0 {
					return nil
				}
				continue
			}
		}
		line := append(lineOf(p), '\n')
		if size += len(line); size > f.most {
			if err := errors.Join(w.Flush(), os.Rename(f.path, f.path+".1")); err != nil {
				return err
			}
			next, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			file.Close()
			file, size = next, len(line)
			w.Reset(file)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
}

// lineOf encodes an event. The modulation is an interface, which JSON can't
// read back: it stands beside the event.
func lineOf(p past) []byte {
	l := pastLine{Type: p.kind.String(), ID: hex.EncodeToString(p.id[:]), At: p.at.UnixMicro()}
	event := p.event
	switch ev := event.(type) {
	case *nsedge.UplinkEvent:
		l.modulation(ev.Radio.Mod)
		e := *ev
		e.Radio.Mod = nil
		if math.IsNaN(float64(e.Radio.SNR)) { // of FSK; JSON has no word for it
			e.Radio.SNR = 0
		}
		event = &e
	case *nsedge.DownlinkEvent:
		l.modulation(ev.Radio.Mod)
		e := *ev
		e.Radio.Mod = nil
		event = &e
	}
	text, err := json.Marshal(event)
	if err == nil {
		l.Event = text
		text, err = json.Marshal(l)
	}
	if err != nil {
		return nil // an empty line, which is skipped
	}
	return text
}

func (l *pastLine) modulation(m radio.Modulation) {
	switch m := m.(type) {
	case radio.LoRa:
		l.LoRa = &m
	case radio.FSK:
		l.FSK = &m
	}
}

// eventOf makes an event of a type for JSON to fill.
func eventOf(k kind) nsedge.Event {
	switch k {
	case uplink:
		return &nsedge.UplinkEvent{}
	case downlink:
		return &nsedge.DownlinkEvent{}
	case downlinkRequest:
		return &nsedge.DownlinkRequest{}
	case joinRequest:
		return &nsedge.JoinRequest{}
	case statusResponse:
		return &nsedge.StatusResponse{}
	case location:
		return &nsedge.Location{}
	}
	return &nsedge.Notice{}
}

// parseLine reads a line; ok is false where it is none.
func parseLine(text []byte) (p past, ok bool) {
	var l pastLine
	if json.Unmarshal(text, &l) != nil {
		return p, false
	}
	id, err := hex.DecodeString(l.ID)
	if p.kind, ok = parseKind(l.Type); !ok || err != nil || len(id) != len(p.id) {
		return p, false
	}
	p.id, p.at, p.event = packetID(id), time.UnixMicro(l.At), eventOf(p.kind)
	if json.Unmarshal(l.Event, p.event) != nil {
		return p, false
	}
	if n, ok := p.event.(*nsedge.Notice); ok && n.Level > nsedge.Error || kindOf(p.event) != p.kind {
		return p, false
	}
	mod := radio.Modulation(nil)
	switch {
	case l.LoRa != nil:
		mod = *l.LoRa
	case l.FSK != nil:
		mod = *l.FSK
	}
	switch ev := p.event.(type) {
	case *nsedge.UplinkEvent:
		ev.Radio.Mod = mod
	case *nsedge.DownlinkEvent:
		ev.Radio.Mod = mod
	}
	return p, true
}

// load puts what the files hold into a history.
func (f *historyFile) load(h *history) error {
	for _, path := range []string{f.path + ".1", f.path} {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(make([]byte, 64<<10), longestLine)
		for lines.Scan() {
			if p, ok := parseLine(bytes.TrimSpace(lines.Bytes())); ok {
				h.restore(p)
			}
		}
		err = errors.Join(lines.Err(), file.Close())
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
	}
	return nil
}
