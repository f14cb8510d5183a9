package dataapi

import (
	"encoding/json"
	"net/http"
	"time"
)

// stampLayout is YYYYmmddHHMMSS, UTC.
const stampLayout = "20060102150405"

// getHistory answers with past messages, oldest first: the first ones from a
// time on where that is given, else the last ones.
func (s *Server) getHistory(c *call) (reply, error) {
	if !c.key.MayConnect() {
		return reply{}, errNoData
	}
	req, err := s.parseRequest(c.query)
	if err != nil {
		return reply{}, err
	}
	req.filter.within = c.key.confine()
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	var span window
	if span.from, err = c.query.stamp("from", 0); err != nil {
		return reply{}, err
	}
	if span.to, err = c.query.stamp("to", time.Second-time.Microsecond); err != nil {
		return reply{}, err
	}
	through := s.history.newest()
	p := replay{history: s.history, through: through, wanted: func(p *past) bool {
		return span.holds(p.event.About().Time) && req.filter.match(p.kind, p.event)
	}}
	if span.from == 0 {
		p.cursor = s.history.end(through)
		s.history.back(&p.cursor, pg.limit, p.wanted)
	}
	text := []byte{'['}
	for n := range pg.limit {
		past, ok := p.next()
		if !ok || c.Context().Err() != nil {
			break
		}
		if n > 0 {
			text = append(text, ',')
		}
		text = append(text, s.encoder.event(past.event, past.id, (req.shape|replayed).of(past.kind))...)
	}
	return reply{http.StatusOK, json.RawMessage(append(text, ']'))}, nil
}

// stamp reads a time as unix µs, 0 if it isn't given. A whole second is meant:
// rest is the part of it that belongs to the time.
func (p parameters) stamp(name string, rest time.Duration) (int64, error) {
	v := p.last(name)
	if v == "" {
		return 0, nil
	}
	t, err := time.Parse(stampLayout, v)
	if err != nil || t.Unix() <= 0 {
		return 0, badParameter(name, "%s; a time of the form YYYYmmddHHMMSS in UTC is allowed, such as 20261123040000", shown(v))
	}
	return t.Add(rest).UnixMicro(), nil
}
