package dataapi

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Why [Machine.SetTime] may refuse.
var (
	ErrTimeKnown    = errors.New("the clock is kept by something better")
	ErrNotPermitted = errors.New("the daemon isn't permitted to do that")
)

func (s *Server) systemRoutes() []route {
	return []route{
		{"/system", "system", methods{http.MethodGet: s.machine(func(_ *call, m Machine) (reply, error) {
			return reply{http.StatusOK, map[string]System{"system": m.System()}}, nil
		})}},
		{"/system/time", "system", methods{http.MethodPost: s.machine(s.setTime)}},
		{"/system/config", "system", methods{http.MethodGet: s.machine(getConfig), http.MethodPatch: s.machine(setConfig)}},
		{"/system/log", "system", methods{http.MethodGet: s.machine(getLog)}},
		{"/system/recording", "system", methods{http.MethodGet: s.machine(getRecording)}},
		{"/system/support", "system", methods{http.MethodGet: s.machine(getSupport)}},
		{"/system/boards", "system", methods{http.MethodGet: s.machine(getBoards)}},
		{"/system/firmware", "system", methods{http.MethodGet: s.firmware(getFirmware), http.MethodPost: s.firmware(s.importFirmware)}},
		{"/system/restart", "system", methods{http.MethodPost: s.machine(end(true))}},
		{"/system/stop", "system", methods{http.MethodPost: s.machine(end(false))}},
		{"/audit", "system", methods{http.MethodGet: s.getAudit}},
	}
}

// Sane bounds of a clock: nobody sets it to before this program existed.
var (
	earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// setTime takes {"time": unix seconds} and sets the host's clock by it, if
// nothing better keeps that. Sessions go on.
func (s *Server) setTime(c *call, m Machine) (reply, error) {
	body, err := c.body("system")
	if err != nil {
		return reply{}, err
	}
	if !body.given("time") {
		return reply{}, missingField("time", "unix seconds are wanted, such as 1795404932.115")
	}
	v, err := number64(body.bare("time"))
	if err != nil || !(v >= float64(earliest.Unix()) && v < float64(latest.Unix())) {
		return reply{}, badField("time", "%s; unix seconds from %d (2026) to %d (2100) are allowed", body.raw("time"), earliest.Unix(), latest.Unix())
	}
	t := time.UnixMicro(int64(v * 1e6))
	before := time.Now()
	switch err := m.SetTime(t); {
	case errors.Is(err, ErrTimeKnown):
		return reply{}, &problem{http.StatusConflict, codeInUse, "time", "time: nothing is changed: " + err.Error()}
	case errors.Is(err, ErrNotPermitted):
		return reply{}, &problem{http.StatusConflict, codeForbidden, "time", "time: nothing is changed: " + err.Error()}
	case err != nil:
		return reply{}, err
	}
	s.log.Info("clock set", slog.Time("from", before), slog.Time("to", t), slog.String("key", c.key.ID))
	if err := s.sessions.shift(t.Sub(before.Round(0))); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, map[string]Time{"time": m.System().Time}}, nil
}

func getConfig(_ *call, m Machine) (reply, error) {
	return reply{http.StatusOK, map[string]Configuration{"config": m.Config()}}, nil
}

// setConfig takes {"section.key": value} for the next start.
func setConfig(c *call, m Machine) (reply, error) {
	body, err := c.body("config")
	if err != nil {
		return reply{}, err
	}
	if why := m.Config().Writable; why != "" {
		return reply{}, &problem{http.StatusConflict, codeForbidden, "", why}
	}
	err = m.SetConfig(body.m)
	if fault, ok := errors.AsType[*ConfigFault](err); ok {
		return reply{}, badField(fault.Key, "%s", strings.TrimPrefix(fault.Message, fault.Key+": "))
	}
	if err != nil {
		return reply{}, err
	}
	return getConfig(c, m)
}

// getLog answers with the log's last lines, from a number on and of a level
// upwards.
func getLog(c *call, m Machine) (reply, error) {
	pg, err := parsePage(c.query)
	if err != nil {
		return reply{}, err
	}
	var least slog.Level
	if v := c.query.last("level"); v == "" {
		least = slog.LevelDebug
	} else if err := least.UnmarshalText([]byte(v)); err != nil {
		return reply{}, badParameter("level", "%s; debug, info, warn and error are allowed", shown(v))
	}
	after := uint64(0)
	if v := c.query.last("after"); v != "" {
		if after, err = strconv.ParseUint(v, 10, 64); err != nil {
			return reply{}, badParameter("after", "%s; the number of a line is wanted", shown(v))
		}
	}
	lines := slices.DeleteFunc(m.Log(), func(l LogLine) bool {
		var level slog.Level
		return level.UnmarshalText([]byte(l.Level)) == nil && level < least || l.Number <= after
	})
	total := len(lines)
	lines = append([]LogLine{}, lines[max(total-pg.limit, 0):]...)
	return reply{http.StatusOK, map[string]any{"log": lines, "total": total}}, nil
}

func getSupport(c *call, m Machine) (reply, error) {
	c.w.Header().Set("Content-Disposition", `attachment; filename="gatewayd-support-`+time.Now().UTC().Format(stampLayout)+`.zip"`)
	return reply{http.StatusOK, stream{"application/zip", func(w io.Writer) error { return m.Support(w) }}}, nil
}

// getRecording gives the flight recorder's file. It has payloads of all
// devices.
func getRecording(c *call, m Machine) (reply, error) {
	write := m.Recording()
	switch {
	case c.key.Scope != nil:
		return reply{}, errOutOfScope
	case write == nil:
		return reply{}, notFound("the flight recorder is off; recorder.size_mib in the configuration switches it on")
	}
	c.w.Header().Set("Content-Disposition", `attachment; filename="gatewayd-`+time.Now().UTC().Format(stampLayout)+`.jsonl.gz"`)
	return reply{http.StatusOK, stream{"application/gzip", write}}, nil
}

func end(restart bool) func(*call, Machine) (reply, error) {
	what := "stops"
	if restart {
		what = "restarts"
	}
	return func(_ *call, m Machine) (reply, error) {
		if err := m.End(restart); err != nil {
			return reply{}, &problem{http.StatusConflict, codeNotReady, "", err.Error()}
		}
		return reply{http.StatusAccepted, map[string]string{"message": "gatewayd " + what}}, nil
	}
}
