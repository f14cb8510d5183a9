package devicefile

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// lists are the names under which an object holds its devices: ours, and
// those of the lists of ChirpStack and The Things Stack.
var lists = []string{"devices", "result", "end_devices"}

// readJSON reads a list, objects one after the other, or objects with a list.
func readJSON(in *bufio.Reader, f Format) (Format, iter.Seq2[Row, error], error) {
	d := &jsonReader{dec: json.NewDecoder(in), format: f}
	first, more, err := d.next()
	if err != nil {
		return f, nil, err
	}
	if f == Auto {
		d.format = JSON
		if more {
			d.format = objectFormat(first)
		}
	}
	return d.format, func(yield func(Row, error) bool) {
		for n := 1; more; n++ {
			row := Row{At: fmt.Sprintf("device %d", n)}
			row.Fields, row.Err = d.fields(first)
			if !yield(row, nil) {
				return
			}
			if first, more, err = d.next(); err != nil {
				yield(Row{}, fmt.Errorf("after device %d: %w", n, err))
				return
			}
		}
	}, nil
}

type jsonReader struct {
	dec    *json.Decoder
	format Format
	depth  int // of lists and objects around the devices
}

// next returns the next device's object.
func (d *jsonReader) next() (o Fields, more bool, err error) {
	for {
		if d.depth > 0 && d.dec.More() {
			err := d.dec.Decode(&o)
			return o, err == nil, badJSON(err)
		}
		t, err := d.dec.Token()
		switch {
		case errors.Is(err, io.EOF) && d.depth == 0:
			return nil, false, nil
		case err != nil:
			return nil, false, badJSON(err)
		}
		switch t {
		case json.Delim('['):
			d.depth++
		case json.Delim(']'):
			d.depth--
			if d.depth > 0 { // the object that holds the list goes on
				if err := d.rest(); err != nil {
					return nil, false, err
				}
			}
		case json.Delim('{'):
			if o, more, err = d.object(); more || err != nil {
				return o, more, err
			}
		default:
			return nil, false, fmt.Errorf("the JSON has %v where a device is wanted: an object, or a list of objects", t)
		}
	}
}

// object reads an object whose brace was read: a device, or what holds a list
// of them, which it then stands in.
func (d *jsonReader) object() (o Fields, device bool, err error) {
	o = Fields{}
	for d.dec.More() {
		name, err := d.dec.Token()
		if err != nil {
			return nil, false, badJSON(err)
		}
		key, _ := name.(string)
		var v json.RawMessage
		if slices.Contains(lists, key) {
			t, err := d.dec.Token()
			if err != nil {
				return nil, false, badJSON(err)
			}
			if t == json.Delim('[') {
				d.depth += 2
				return nil, false, nil
			}
			return nil, false, fmt.Errorf("%s: a list of devices is wanted", key)
		}
		if err := d.dec.Decode(&v); err != nil {
			return nil, false, badJSON(err)
		}
		o[key] = v
	}
	_, err = d.dec.Token() // the closing brace
	return o, true, badJSON(err)
}

// rest reads what follows the list in the object that holds it.
func (d *jsonReader) rest() error {
	for d.dec.More() {
		if _, err := d.dec.Token(); err != nil {
			return badJSON(err)
		}
		var v json.RawMessage
		if err := d.dec.Decode(&v); err != nil {
			return badJSON(err)
		}
	}
	d.depth--
	_, err := d.dec.Token()
	return badJSON(err)
}

// badJSON says where the file is wrong; it repeats nothing, as there are keys.
func badJSON(err error) error {
	syntax, kind := (*json.SyntaxError)(nil), (*json.UnmarshalTypeError)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind):
		return fmt.Errorf("a device is an object, not a %s", kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the JSON ends too early: the file is cut off")
	}
	return fmt.Errorf("read the JSON: %w", err)
}

// objectFormat tells whose device it is.
func objectFormat(o Fields) Format {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { _, ok := o[n]; return ok })
	}
	switch {
	case has("ids", "end_device"):
		return TTS
	case has("device", "deviceKeys", "deviceActivation", "devEui", "devEUI") && !has("dev_eui"):
		return ChirpStack
	}
	return JSON
}

func (d *jsonReader) fields(o Fields) (Fields, error) {
	switch d.format {
	case TTS:
		return ttsOfJSON(o)
	case ChirpStack:
		return chirpStackOfJSON(o)
	}
	if o == nil {
		return nil, errors.New("a device is an object, not null")
	}
	return o, nil
}
