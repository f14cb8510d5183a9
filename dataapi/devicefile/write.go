package devicefile

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Writer writes devices in our own formats. Close ends the file.
type Writer struct {
	format Format
	csv    *csv.Writer
	out    *bufio.Writer
	count  int
}

// NewWriter writes CSV, or JSON for any other format.
func NewWriter(w io.Writer, f Format) (*Writer, error) {
	out := &Writer{format: f, out: bufio.NewWriter(w)}
	if f != CSV {
		_, err := out.out.WriteString(`{"devices":[`)
		return out, err
	}
	out.csv = csv.NewWriter(out.out)
	return out, out.csv.Write(Columns())
}

// Write adds a device: something that marshals to the device object.
func (w *Writer) Write(device any) error {
	raw, err := json.Marshal(device)
	if err != nil {
		return fmt.Errorf("device %d: %w", w.count+1, err)
	}
	w.count++
	if w.csv != nil {
		return w.row(raw)
	}
	if w.count > 1 {
		if err := w.out.WriteByte(','); err != nil {
			return err
		}
	}
	if err := w.out.WriteByte('\n'); err != nil {
		return err
	}
	_, err = w.out.Write(raw)
	return err
}

func (w *Writer) row(raw json.RawMessage) error {
	var row []string
	var top Fields
	if err := json.Unmarshal(raw, &top); err != nil {
		return err
	}
	inner := map[string]Fields{}
	for _, c := range Columns() {
		from, name := top, c
		if outer, field, ok := strings.Cut(c, "."); ok {
			if inner[outer] == nil {
				o := Fields{}
				_ = json.Unmarshal(top[outer], &o) // an object, or null
				inner[outer] = o
			}
			from, name = inner[outer], field
		}
		row = append(row, cell(c, from[name]))
	}
	return w.csv.Write(row)
}

// cell is a value as it stands in CSV. Tags are joined by commas unless that
// would change them.
func cell(column string, raw json.RawMessage) string {
	s, ok := scalar(raw)
	var tags []string
	if ok || column != "tags" || json.Unmarshal(raw, &tags) != nil {
		if !ok && len(raw) > 0 && string(raw) != "null" {
			s = string(raw)
		}
		return s
	}
	for _, t := range tags {
		if t == "" || strings.Contains(t, ",") || strings.TrimSpace(t) != t || t[0] == '[' {
			return string(raw)
		}
	}
	return strings.Join(tags, ",")
}

// Close writes the end and flushes.
func (w *Writer) Close() error {
	if w.csv != nil {
		w.csv.Flush()
		if err := w.csv.Error(); err != nil {
			return err
		}
	} else if _, err := w.out.WriteString("\n]}\n"); err != nil {
		return err
	}
	return w.out.Flush()
}
