package air

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"gatewayd/radio"
)

// Limits of fields.
const (
	maxName    = 64 // bytes
	maxID      = 64 // bytes as sent
	maxInstant = radio.Instant(1) << 50
)

const ops = "hello, time, tx, rx, cancel, monitor or idle"

// request is one line of a client. Its methods take fields out of it and
// return errors that name the field, its value and what is allowed.
type request struct {
	op     string
	id     json.RawMessage // as sent; nil if there is none
	fields map[string]json.RawMessage
}

// parse takes a line apart. Also with an error the id is there, if it is sane.
func parse(line []byte) (request, error) {
	var r request
	if !utf8.Valid(line) {
		return r, errors.New("line is not UTF-8")
	}
	if err := json.Unmarshal(line, &r.fields); err != nil || r.fields == nil {
		return r, fmt.Errorf("line %s is no JSON object", shorten(line))
	}
	if id, ok := r.fields["id"]; ok {
		if !idLike(id) {
			return r, fmt.Errorf("id is %s: a string or a number of at most %d bytes is wanted", shorten(id), maxID)
		}
		r.id = id
	}
	raw, ok := r.fields["op"]
	if !ok {
		return r, fmt.Errorf("op is missing: %s is wanted", ops)
	}
	if err := json.Unmarshal(raw, &r.op); err != nil || raw[0] != '"' {
		return r, fmt.Errorf("op is %s: %s is wanted", shorten(raw), ops)
	}
	if len(r.op) > maxName {
		r.op = r.op[:maxName]
	}
	return r, nil
}

func idLike(id json.RawMessage) bool {
	return len(id) <= maxID && (id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9')
}

func shorten(raw []byte) []byte {
	if len(raw) > maxName {
		return append(bytes.ToValidUTF8(raw[:maxName], nil), "…"...)
	}
	return raw
}

// key is the id for use in a map.
func (r request) key() (string, error) {
	if r.id == nil {
		return "", fmt.Errorf("id is missing: %s wants a string or a number that the answers carry", r.op)
	}
	return string(r.id), nil
}

// need is key, for a request that stays open.
func (r request) need(c *client) (string, error) {
	if n := len(c.txs) + len(c.rxs); n >= maxRequests {
		return "", fmt.Errorf("%d tx and rx are open on this connection and no more are allowed: wait for some to end, or open another connection", n)
	}
	return r.key()
}

// raw returns a field; null counts as absent.
func (r request) raw(field string) (json.RawMessage, bool) {
	raw, ok := r.fields[field]
	return raw, ok && string(raw) != "null"
}

func bad(field string, raw json.RawMessage, wanted string) error {
	return fmt.Errorf("%s is %s: %s is wanted", field, shorten(raw), wanted)
}

// number returns a required number within limits.
func (r request) number(field string, lo, hi float64) (float64, error) {
	raw, ok := r.raw(field)
	if !ok {
		return 0, fmt.Errorf("%s is missing: a number from %g to %g is wanted", field, lo, hi)
	}
	var v float64
	if err := json.Unmarshal(raw, &v); err != nil || v < lo || v > hi {
		return 0, bad(field, raw, fmt.Sprintf("a number from %g to %g", lo, hi))
	}
	return v, nil
}

// integer returns a whole number within limits; def, if not nil, where the
// field is absent.
func (r request) integer(field string, lo, hi int64, def *int64) (int64, error) {
	wanted := fmt.Sprintf("a whole number from %d to %d", lo, hi)
	raw, ok := r.raw(field)
	if !ok && def != nil {
		return *def, nil
	}
	if !ok {
		return 0, fmt.Errorf("%s is missing: %s is wanted", field, wanted)
	}
	var v float64
	if err := json.Unmarshal(raw, &v); err != nil || v != math.Trunc(v) || v < float64(lo) || v > float64(hi) {
		return 0, bad(field, raw, wanted)
	}
	return int64(v), nil
}

func (r request) boolean(field string, def bool) (bool, error) {
	raw, ok := r.raw(field)
	if !ok {
		return def, nil
	}
	v := def
	if err := json.Unmarshal(raw, &v); err != nil {
		return def, bad(field, raw, "true or false")
	}
	return v, nil
}

// choice returns one of the allowed values of a field.
func choice[T comparable](r request, field string, def *T, allowed ...T) (T, error) {
	raw, ok := r.raw(field)
	if !ok && def != nil {
		return *def, nil
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		name, _ := json.Marshal(a) // a string or an integer
		names[i] = string(name)
	}
	wanted := strings.Join(names, ", ")
	var v T
	if !ok {
		return v, fmt.Errorf("%s is missing: one of %s is wanted", field, wanted)
	}
	if err := json.Unmarshal(raw, &v); err == nil {
		if slices.Contains(allowed, v) {
			return v, nil
		}
	}
	return v, bad(field, raw, "one of "+wanted)
}

// instant returns an air time, def where the field is absent.
func (r request) instant(field string, def radio.Instant) (radio.Instant, error) {
	if _, ok := r.raw(field); !ok {
		return def, nil
	}
	v, err := r.integer(field, 0, int64(maxInstant), nil)
	return radio.Instant(v), err
}

// station returns what hello says.
func (r request) station() (StationConfig, error) {
	var cfg StationConfig
	if raw, ok := r.raw("name"); ok {
		if err := json.Unmarshal(raw, &cfg.Name); err != nil || len(cfg.Name) > maxName {
			return cfg, bad("name", raw, fmt.Sprintf("a string of at most %d bytes", maxName))
		}
	}
	if _, ok := r.raw("path_loss_db"); ok {
		loss, err := r.number("path_loss_db", 0.001, 1000)
		if err != nil {
			return cfg, err
		}
		cfg.PathLoss = radio.DB(loss)
	}
	if raw, ok := r.raw("position"); ok {
		var p []float64
		if err := json.Unmarshal(raw, &p); err != nil || len(p) != 3 {
			return cfg, bad("position", raw, "three numbers [x,y,z] in metres")
		}
		cfg.Position = (*[3]float64)(p)
	}
	return cfg, nil
}

// frame returns the frame of a tx.
func (r request) frame() (Frame, error) {
	var f Frame
	var err error
	if f.Freq, f.Mod, err = r.modulation(true); err != nil {
		return f, err
	}
	raw, ok := r.raw("payload")
	if _, carrier := f.Mod.(radio.Carrier); carrier && !ok {
		return f, f.check()
	}
	if !ok {
		return f, errors.New("payload is missing: base64 of 0 to 255 bytes is wanted")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil && raw[0] == '"' {
		f.Payload, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || raw[0] != '"' || len(f.Payload) > 255 {
		return f, bad("payload", raw, "base64, with padding, of 0 to 255 bytes")
	}
	return f, f.check()
}

// window returns the window of an rx.
func (r request) window(now radio.Instant) (w Window, err error) {
	if w.Freq, w.Mod, err = r.modulation(false); err != nil {
		return w, err
	}
	if _, lora := w.Mod.(radio.LoRa); lora {
		if _, ok := r.raw("iq_inverted"); !ok {
			return w, errors.New("iq_inverted is missing: true (as gateways send) or false (as devices do) is wanted")
		}
	}
	if w.Until, err = r.instant("until_us", maxInstant); err != nil {
		return w, err
	}
	if w.From, err = r.instant("from_us", min(now, w.Until)); err != nil {
		return w, err
	}
	if w.Until < w.From {
		return w, fmt.Errorf("until_us is %d: it must not be less than from_us, which is %d", w.Until, w.From)
	}
	return w, nil
}
