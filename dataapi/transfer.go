package dataapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"gatewayd/dataapi/devicefile"
	"gatewayd/nsedge"
)

// bulkEdge is an [Edge] that changes and exports many devices at once;
// *nsedge.Edge is one.
type bulkEdge interface {
	ChangeDevices(ctx context.Context, changes []nsedge.Change, o nsedge.BulkOptions) ([]nsedge.Outcome, bool, error)
	UndoChanges(ctx context.Context) (int, error)
	Export(ctx context.Context, yield func(nsedge.Exported) bool) error
}

// Bounds of an import.
const (
	maxImport        = 256 << 20 // bytes
	maxImportDevices = 250_000
)

// transferRoutes are import and export.
func (s *Server) transferRoutes() []route {
	return []route{
		{"/devices/import", "devices", methods{http.MethodPost: s.importDevices}},
		{"/devices/import/undo", "devices", methods{http.MethodPost: s.undoImport}},
		{"/devices/export", "devices", methods{http.MethodGet: s.exportDevices}},
	}
}

func (s *Server) theBulkEdge() (bulkEdge, error) {
	edge, err := s.theEdge()
	if err != nil {
		return nil, err
	}
	bulk, ok := edge.(bulkEdge)
	if !ok {
		return nil, &problem{http.StatusNotImplemented, codeServerError, "", "this network server has no bulk changes: create the devices one by one"}
	}
	return bulk, nil
}

// importRow is what becomes of one device of a file.
type importRow struct {
	At      string            `json:"at"`
	DevEUI  string            `json:"dev_eui,omitempty"`
	Action  nsedge.BulkAction `json:"action"`
	Field   string            `json:"field,omitempty"`
	Message string            `json:"message,omitempty"`
}

// importResult is the answer to an import.
type importResult struct {
	Code    string                    `json:"code,omitempty"` // if it was refused
	Message string                    `json:"message"`
	Format  devicefile.Format         `json:"format"`
	DryRun  bool                      `json:"dry_run"`
	Applied bool                      `json:"applied"`
	Counts  map[nsedge.BulkAction]int `json:"counts"`
	Rows    []importRow               `json:"rows"`
}

func (s *Server) importDevices(c *call) (reply, error) {
	edge, err := s.theBulkEdge()
	if err != nil {
		return reply{}, err
	}
	var o nsedge.BulkOptions
	for name, into := range map[string]*bool{"dry_run": &o.DryRun, "skip_faults": &o.SkipFaults} {
		if *into, err = c.query.flag(name); err != nil {
			return reply{}, err
		}
	}
	format, err := devicefile.Parse(c.query.last("format"))
	if err != nil {
		return reply{}, badParameter("format", "%v", err)
	}
	res := importResult{DryRun: o.DryRun}
	changes, at, err := s.readImport(c, format, &res)
	if err != nil {
		return reply{}, err
	}
	skip := o.SkipFaults
	// With a line that can't be read, the rest is only looked at.
	if len(at) < len(res.Rows) && !skip {
		o.DryRun = true
	}
	out, applied, err := edge.ChangeDevices(c.Context(), changes, o)
	if err != nil {
		return reply{}, err
	}
	for i, x := range out {
		row := &res.Rows[at[i]]
		row.Action = x.Action
		if x.Err != nil {
			p := problemOf(x.Err)
			row.Field, row.Message = p.Field, p.Message
		}
	}
	res.Applied = applied
	return res.reply(skip), nil
}

func (r *importResult) reply(skip bool) reply {
	r.Counts = map[nsedge.BulkAction]int{nsedge.BulkCreated: 0, nsedge.BulkChanged: 0, nsedge.BulkUnchanged: 0, nsedge.BulkRefused: 0}
	for _, row := range r.Rows {
		r.Counts[row.Action]++
	}
	n := r.Counts
	r.Message = fmt.Sprintf("%d created, %d changed, %d unchanged, %d refused", n[nsedge.BulkCreated], n[nsedge.BulkChanged], n[nsedge.BulkUnchanged], n[nsedge.BulkRefused])
	status := http.StatusOK
	switch {
	case r.DryRun:
		r.Message = "dry run, nothing was changed: " + r.Message
	case !skip && n[nsedge.BulkRefused] > 0:
		status, r.Code = http.StatusUnprocessableEntity, codeBadField
		r.Message = "nothing was changed, as not all devices are good: " + r.Message + ". Correct the file, or skip the faults"
	}
	return reply{status, r}
}

// readImport reads the file; at tells the row of each change.
func (s *Server) readImport(c *call, format devicefile.Format, res *importResult) (changes []nsedge.Change, at []int, err error) {
	in := http.MaxBytesReader(c.w, c.file, maxImport)
	found, rows, err := devicefile.Read(in, format)
	if err != nil {
		return nil, nil, importProblem(err)
	}
	res.Format = found
	for row, err := range rows {
		if err != nil {
			return nil, nil, importProblem(err)
		}
		if len(res.Rows) == maxImportDevices {
			return nil, nil, &problem{http.StatusRequestEntityTooLarge, codeTooLarge, "", fmt.Sprintf("more than %d devices: split the file", maxImportDevices)}
		}
		line := importRow{At: row.At, Action: nsedge.BulkRefused}
		change, err := nsedge.Change{}, row.Err
		if err == nil {
			change, err = s.importChange(c, fields{m: row.Fields})
			line.DevEUI = change.DevEUI.String()
		}
		if p, ok := errors.AsType[*problem](err); ok {
			line.Field, line.Message = p.Field, p.Message
		} else if err != nil {
			line.Message = err.Error()
		} else {
			changes, at = append(changes, change), append(at, len(res.Rows))
		}
		res.Rows = append(res.Rows, line)
	}
	return changes, at, nil
}

func importProblem(err error) error {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return &problem{http.StatusRequestEntityTooLarge, codeTooLarge, "", fmt.Sprintf("the file is larger than the %d MiB that are allowed: split it", maxImport>>20)}
	}
	return &problem{http.StatusBadRequest, codeBadJSON, "", err.Error()}
}

// importChange makes a change of one device object.
func (s *Server) importChange(c *call, f fields) (ch nsedge.Change, err error) {
	if !f.given("dev_eui") {
		return ch, missingField("dev_eui", "16 hex digits are wanted")
	}
	if err := setEUI(&ch.DevEUI, f, "dev_eui"); err != nil {
		return ch, err
	}
	state, err := f.text("state")
	if err == nil && state != "" {
		ch.State, err = base64.RawStdEncoding.DecodeString(state)
	}
	if err != nil {
		return ch, badField("state", "not base64; take it from an export as it is, or leave it out")
	}
	key := c.key
	ch.Edit = func(d *nsedge.Device, registered bool) error {
		action := create
		if registered {
			action = update
		}
		if eui := d.DevEUI.String(); !key.May("devices", action, eui) {
			return badField("dev_eui", "this key lacks the right to %s %s", action, eui)
		}
		if registered && !key.covers(d) {
			return errOutOfScope
		}
		given := f
		if registered {
			given = f.withoutSession(ch.State != nil)
		} else {
			*d = newDevice(s.cfg.Org)
		}
		if err := patchDevice(d, given); err != nil {
			return err
		}
		if !registered {
			chooseActivation(d)
			dropHalfSession(d)
		}
		if !key.covers(d) {
			return errOutOfScope
		}
		return nil
	}
	return ch, nil
}

// withoutSession drops the session of an export: a device that is registered
// here goes on with its own.
func (f fields) withoutSession(drop bool) fields {
	if !drop {
		return f
	}
	out := fields{path: f.path, m: make(map[string]json.RawMessage, len(f.m))}
	for name, v := range f.m {
		switch name {
		case "dev_addr", "nwkskey", "fnwksintkey", "snwksintkey", "nwksenckey", "appskey", "counter_up", "counter_down", "counter_down_app":
		default:
			out.m[name] = v
		}
	}
	return out
}

func (s *Server) undoImport(c *call) (reply, error) {
	edge, err := s.theBulkEdge()
	if err != nil {
		return reply{}, err
	}
	if !c.key.May("devices", remove, "*") || c.key.Scope != nil {
		return reply{}, &problem{http.StatusForbidden, codeForbidden, "access_token", "access_token: this key lacks the right to delete devices"}
	}
	n, err := edge.UndoChanges(c.Context())
	if errors.Is(err, nsedge.ErrNothingToUndo) {
		return reply{}, notFound("%v", nsedge.ErrNothingToUndo)
	}
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, map[string]any{"devices": n, "message": fmt.Sprintf("the last import was taken back: %d devices are as before", n)}}, nil
}

// exportView is a device as it is exported.
type exportView struct {
	deviceView
	State string `json:"state,omitempty"`
}

func (s *Server) exportDevices(c *call) (reply, error) {
	edge, err := s.theBulkEdge()
	if err != nil {
		return reply{}, err
	}
	keys, err := c.query.flag("keys")
	if err != nil {
		return reply{}, err
	}
	format, err := devicefile.Parse(c.query.last("format"))
	if err != nil || format == devicefile.ChirpStack || format == devicefile.TTS {
		return reply{}, badParameter("format", "%s; csv and json are allowed", shown(c.query.last("format")))
	}
	kind := "application/json"
	if format == devicefile.CSV {
		kind = "text/csv; charset=utf-8"
	}
	return reply{http.StatusOK, stream{kind, func(w io.Writer) error {
		out, err := devicefile.NewWriter(w, format)
		if err != nil {
			return err
		}
		var failed error
		err = edge.Export(c.Context(), func(x nsedge.Exported) bool {
			if eui := x.DevEUI.String(); c.key.May("devices", read, eui) && c.key.covers(&x.Device) {
				v := exportView{deviceView: viewDevice(&x.Device, s.cfg.Org, keys && c.key.SeesSecrets(eui))}
				if keys && c.key.SeesSecrets(eui) {
					v.State = base64.RawStdEncoding.EncodeToString(x.State)
				}
				failed = out.Write(v)
			}
			return failed == nil
		})
		return errors.Join(err, failed, out.Close())
	}}}, nil
}

// stream is a body that is written bit by bit.
type stream struct {
	kind  string // its media type
	write func(io.Writer) error
}

// send writes the stream. What fails halfway can only be told by an end that
// isn't one.
func (b stream) send(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", b.kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	out := bufio.NewWriter(w)
	if err := errors.Join(b.write(out), out.Flush()); err != nil {
		panic(http.ErrAbortHandler)
	}
}
