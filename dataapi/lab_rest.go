package dataapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// Laboratory is the test bench, where the configuration switches it on.
type Laboratory interface {
	// Words are the verbs of the bench with a line about each.
	Words() map[string]string
	// Call runs a verb. A [LabError] is what did not come as expected; other
	// errors say that the call was wrong.
	Call(ctx context.Context, verb string, args map[string]any) (any, error)
	// Capture writes a pcapng file until ctx ends.
	Capture(ctx context.Context, w io.Writer, version0 bool) error
	// Keys are those of all devices, as files of Wireshark by their names.
	Keys(ctx context.Context) (map[string]string, error)
	// Listen gives every frame that the demodulators give, as JSON.
	Listen() (frames <-chan any, stop func(), err error)
}

// LabError is what a device did not do.
type LabError struct{ Err error }

func (e *LabError) Error() string { return e.Err.Error() }
func (e *LabError) Unwrap() error { return e.Err }

const (
	codeLabOff    = "lab_off"
	codeLabFailed = "lab_failed"
)

// labRoutes are for administrators: the bench can break a network.
func (s *Server) labRoutes() []route {
	return []route{
		{"/lab", "lab", methods{http.MethodGet: s.getLab}},
		{"/lab/verbs/{verb}", "lab", methods{http.MethodPost: s.callLab}},
		{"/lab/keys/{table}", "lab", methods{http.MethodGet: s.labKeys}},
		{"/lab/capture.pcapng", "lab", methods{http.MethodGet: s.captureLab}},
	}
}

func (s *Server) theLab() (Laboratory, error) {
	if s.cfg.Lab == nil {
		return nil, &problem{http.StatusNotFound, codeLabOff, "", "the laboratory is off; lab.enabled in the configuration switches it on"}
	}
	return s.cfg.Lab, nil
}

// labState is what a page shows of the laboratory.
type labState struct {
	Words  map[string]string `json:"words"`
	Faults any               `json:"faults"`
}

func (s *Server) getLab(c *call) (reply, error) {
	lab, err := s.theLab()
	if err != nil {
		return reply{}, err
	}
	faults, err := lab.Call(c.Context(), "faults", nil)
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, map[string]labState{"lab": {lab.Words(), faults}}}, nil
}

func (s *Server) callLab(c *call) (reply, error) {
	lab, err := s.theLab()
	if err != nil {
		return reply{}, err
	}
	var args map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(c.w, c.Body, maxBody)).Decode(&args); err != nil && !errors.Is(err, io.EOF) {
		return reply{}, badField("body", "the arguments of the verb are wanted, as a JSON object: %v", err)
	}
	verb := c.PathValue("verb")
	if _, ok := lab.Words()[verb]; !ok {
		return reply{}, notFound("there is no verb %s; GET %s/lab lists them", shown(verb), root)
	}
	if err := patient(c.w); err != nil {
		return reply{}, err
	}
	result, err := lab.Call(c.Context(), verb, args)
	if failed, ok := errors.AsType[*LabError](err); ok {
		return reply{}, &problem{http.StatusUnprocessableEntity, codeLabFailed, "", failed.Error()}
	}
	if err != nil {
		return reply{}, &problem{http.StatusBadRequest, codeBadField, "", err.Error()}
	}
	return reply{http.StatusOK, map[string]any{"result": result}}, nil
}

func (s *Server) captureLab(c *call) (reply, error) {
	lab, err := s.theLab()
	if err != nil {
		return reply{}, err
	}
	version := c.query.last("loratap")
	if version != "" && version != "0" && version != "1" {
		return reply{}, badParameter("loratap", "%s; allowed are 0 and 1", shown(version))
	}
	if err := patient(c.w); err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, stream{"application/x-pcapng", func(io.Writer) error { // past its buffer
		return lab.Capture(c.Context(), flushed{c.w, http.NewResponseController(c.w)}, version == "0")
	}}}, nil
}

// labKeys gives one of the tables of keys that Wireshark reads.
func (s *Server) labKeys(c *call) (reply, error) {
	lab, err := s.theLab()
	if err != nil {
		return reply{}, err
	}
	if c.key.Scope != nil || !c.key.SeesSecrets("*") {
		return reply{}, &problem{http.StatusForbidden, codeForbidden, "access_token", "access_token: this key lacks the right secrets, for all devices"}
	}
	tables, err := lab.Keys(c.Context())
	if err != nil {
		return reply{}, err
	}
	table, ok := tables[c.PathValue("table")]
	if !ok {
		return reply{}, notFound("there is no table %s; there are %s", shown(c.PathValue("table")), strings.Join(sortedKeys(tables), ", "))
	}
	return reply{http.StatusOK, stream{"text/plain", func(w io.Writer) error { _, err := io.WriteString(w, table); return err }}}, nil
}

// patient lifts the server's limit for an answer: a verb waits as long as it
// was told to, a capture goes on as long as somebody reads it.
func patient(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// flushed sends each write at once: somebody watches.
type flushed struct {
	io.Writer
	control *http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	if errors.Is(err, http.ErrNotSupported) {
		err = nil
	}
	return n, err
}

// serveLabRadio is the raw radio: a WebSocket with every frame that is heard;
// what the client sends is transmitted, as the verb send_raw does.
func (s *Server) serveLabRadio() http.HandlerFunc {
	up := upgrader()
	return func(w http.ResponseWriter, r *http.Request) {
		lab, err := s.admitLab(r)
		if err != nil {
			p := problemOf(err)
			refuse(w, p)
			s.audit(r, "", p)
			return
		}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // the upgrader told the client
		}
		s.rawRadio(r.Context(), conn, lab)
	}
}

// admitLab asks who wants the raw radio.
func (s *Server) admitLab(r *http.Request) (Laboratory, error) {
	cred, err := s.authenticate(r, parseParameters(r.URL.RawQuery))
	if err != nil {
		return nil, err
	}
	if cred.cookie && !sameOrigin(r) {
		return nil, errCrossOrigin
	}
	if !cred.key.May("lab", update, "*") || cred.key.Scope != nil {
		return nil, &problem{http.StatusForbidden, codeForbidden, "access_token", "access_token: this key lacks the right to update lab"}
	}
	return s.theLab()
}

const labSends = 16 // frames that wait for the transmitter

// rawRadio serves one client until it goes or gatewayd ends.
func (s *Server) rawRadio(ctx context.Context, conn *websocket.Conn, lab Laboratory) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer conn.Close()
	frames, stop, err := lab.Listen()
	if err != nil {
		_ = conn.WriteJSON(map[string]any{"type": "error", "message": err.Error()}) // it may be gone
		return
	}
	defer stop()
	answers := make(chan any, labSends)
	go func() {
		defer cancel()
		conn.SetReadLimit(int64(s.cfg.MaxMessage))
		for {
			var args map[string]any
			if err := conn.ReadJSON(&args); err != nil {
				return
			}
			answers <- sendRaw(ctx, lab, args)
		}
	}()
	for {
		var out any
		select {
		case frame := <-frames:
			out = map[string]any{"type": "heard", "frame": frame}
		case out = <-answers:
		case <-ctx.Done():
			return
		}
		if err := conn.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout)); err != nil {
			return
		}
		if err := conn.WriteJSON(out); err != nil {
			return
		}
	}
}

func sendRaw(ctx context.Context, lab Laboratory, args map[string]any) any {
	sent, err := lab.Call(ctx, "send_raw", args)
	if err != nil {
		return map[string]any{"type": "error", "message": err.Error()}
	}
	return map[string]any{"type": "sent", "frame": sent}
}
