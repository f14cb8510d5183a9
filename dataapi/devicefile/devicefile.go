package devicefile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Format of a file.
type Format string

// Formats. Auto is found out from the content.
const (
	Auto       Format = "auto"
	CSV        Format = "csv"
	JSON       Format = "json"
	ChirpStack Format = "chirpstack" // v4: CSV, or the JSON of its REST API
	TTS        Format = "tts"        // The Things Stack: CSV, or JSON of end devices
)

// Formats lists what may be asked for.
func Formats() []string {
	return []string{string(Auto), string(CSV), string(JSON), string(ChirpStack), string(TTS)}
}

// Parse reads the name of a format; "" is Auto.
func Parse(name string) (Format, error) {
	if name == "" {
		return Auto, nil
	}
	if !slices.Contains(Formats(), name) {
		return "", fmt.Errorf("format %q is not known: allowed are %s", name, strings.Join(Formats(), ", "))
	}
	return Format(name), nil
}

// Fields of one device, as in the Management API.
type Fields map[string]json.RawMessage

// Row is one device of a file, or why it can't be read.
type Row struct {
	At     string // "line 3" of CSV, "device 3" of JSON
	Fields Fields
	Err    error
}

const maxColumns = 256

// Read reads devices one by one; the format is that of the whole file, found
// out if it is Auto. After an error there is nothing more to read.
func Read(r io.Reader, f Format) (Format, iter.Seq2[Row, error], error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if bom, _ := in.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3)
	}
	head, err := in.Peek(32 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return f, nil, fmt.Errorf("read the file: %w", err)
	}
	head = bytes.TrimSpace(head)
	if len(head) == 0 {
		return f, nil, errors.New("the file is empty")
	}
	isJSON := head[0] == '{' || head[0] == '['
	switch {
	case isJSON && f == CSV:
		return f, nil, errors.New("the file is JSON, not CSV: leave the format out, or say json")
	case !isJSON && f == JSON:
		return f, nil, fmt.Errorf("the file begins with %q, JSON with { or [: leave the format out, or say csv", head[0])
	case isJSON:
		return readJSON(in, f)
	}
	return readCSV(in, f, head)
}

// text makes a JSON string.
func text(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`) // never: strings always marshal
	}
	return b
}

// set puts a value at a path such as "rx1.delay", if there is one.
func (f Fields) set(path string, v json.RawMessage) {
	outer, inner, nested := strings.Cut(path, ".")
	if !nested {
		f[path] = v
		return
	}
	sub := Fields{}
	_ = json.Unmarshal(f[outer], &sub) // ours: it is an object, or nothing
	sub.set(inner, v)
	b, err := json.Marshal(sub)
	if err == nil {
		f[outer] = b
	}
}

// word sets a text that isn't empty.
func (f Fields) word(path, s string) {
	if s != "" {
		f.set(path, text(s))
	}
}
