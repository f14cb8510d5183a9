package devicefile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Columns are those of our own CSV, in the order in which they are written:
// the fields of the device object, a.b for a field in an object.
func Columns() []string {
	return []string{
		"dev_eui", "app_eui", "activation", "encryption", "dev_class", "lorawan_version", "policy", "band", "tags",
		"app_key", "nwk_key", "dev_addr", "nwkskey", "snwksintkey", "nwksenckey", "appskey",
		"counters_size", "counter_up", "counter_down", "counter_down_app", "strict_counter",
		"adr.mode", "adr.datarate", "adr.tx_power", "rx1.delay", "rx1.offset", "rx2.force", "rx2.datarate", "rx2.freq",
		"adr_ack.limit_exp", "adr_ack.delay_exp", "rejoin.time_n", "rejoin.count_n",
		"mac", "max_duty_cycle", "downlink_channels", "multicast", "repeat",
		"ping_slot.periodicity", "ping_slot.freq", "ping_slot.datarate", "block_uplink", "block_downlink",
		"geolocation.lat", "geolocation.lng", "geolocation.precision",
		"state",
	}
}

// Columns that are read but change nothing, and another name of one.
var alsoColumns = []string{"org", "last_activity", "last_join", "join_eui", "adr.enabled"}

// delimiterOf looks at the header: what there is more of.
func delimiterOf(head []byte) rune {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if bytes.Count(line, []byte(";")) > bytes.Count(line, []byte(",")) {
		return ';'
	}
	return ','
}

func readCSV(in *bufio.Reader, f Format, head []byte) (Format, iter.Seq2[Row, error], error) {
	r := csv.NewReader(in)
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = delimiterOf(head), -1, true
	header, err := r.Read()
	if err != nil {
		return f, nil, fmt.Errorf("the header, line 1: %w", err)
	}
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	if len(header) > maxColumns {
		return f, nil, fmt.Errorf("the header has %d columns, %d are allowed", len(header), maxColumns)
	}
	if f == Auto {
		f = headerFormat(header)
	}
	if err := checkHeader(header, f); err != nil {
		return f, nil, err
	}
	return f, func(yield func(Row, error) bool) {
		for {
			cells, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			row := Row{}
			if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
				row.At, row.Err = fmt.Sprintf("line %d", parse.StartLine), parse.Err
			} else if err != nil {
				yield(row, fmt.Errorf("read the file: %w", err))
				return
			} else {
				line, _ := r.FieldPos(0)
				row.At = fmt.Sprintf("line %d", line)
				if len(cells) != len(header) {
					row.Err = fmt.Errorf("%d fields, the header has %d: quote a field with %q in it", len(cells), len(header), r.Comma)
				} else {
					row.Fields, row.Err = rowFields(header, cells, f)
				}
			}
			if !yield(row, nil) {
				return
			}
		}
	}, nil
}

// headerFormat tells whose columns they are.
func headerFormat(header []string) Format {
	has := func(names ...string) bool {
		return slices.ContainsFunc(header, func(h string) bool { return slices.Contains(names, h) })
	}
	ours := func(h string) bool { return slices.Contains(Columns(), h) || slices.Contains(alsoColumns, h) }
	switch {
	case !slices.ContainsFunc(header, func(h string) bool { return !ours(h) }):
		return CSV
	case has("frequency_plan_id", "lorawan_version", "lorawan_phy_version", "brand_id", "band_id", "f_nwk_s_int_key", "app_s_key", "supports_class_c", "supports_32_bit_f_cnt"):
		return TTS
	case slices.ContainsFunc(header, func(h string) bool {
		return slices.Contains([]string{"deviceprofileid", "deviceprofilename", "applicationid", "nwksenckey", "fcntup"}, squeeze(h)) || squeeze(h) == "deveui" && h != "dev_eui"
	}):
		return ChirpStack
	}
	return CSV
}

// squeeze makes dev_eui, devEui and "Dev EUI" one.
func squeeze(name string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(name))
}

// checkHeader refuses a header without devices, and a name that would be
// passed over in silence.
func checkHeader(header []string, f Format) error {
	seen := map[string]bool{}
	for _, h := range header {
		name := h
		if f == ChirpStack {
			name = squeeze(h)
		}
		if seen[name] && name != "" {
			return fmt.Errorf("column %q comes twice", h)
		}
		seen[name] = true
		if f == CSV && !slices.Contains(Columns(), h) && !slices.Contains(alsoColumns, h) {
			return fmt.Errorf("column %q is not known: allowed are %s", h, strings.Join(Columns(), ", "))
		}
	}
	if !seen["dev_eui"] && !seen["deveui"] {
		return errors.New("the first line must be a header with the column dev_eui")
	}
	return nil
}

func rowFields(header, cells []string, f Format) (Fields, error) {
	if f != CSV {
		flat := map[string]string{}
		for i, h := range header {
			if c := strings.TrimSpace(cells[i]); c != "" {
				flat[h] = c
			}
		}
		if f == TTS {
			return ttsFields(ttsOfCSV(flat))
		}
		return chirpStackOfCSV(flat)
	}
	fields := Fields{}
	for i, h := range header {
		switch c := strings.TrimSpace(cells[i]); {
		case c == "":
		case h == "tags" && c[0] == '[', h == "downlink_channels":
			if !json.Valid([]byte(c)) {
				return nil, fmt.Errorf("%s: a JSON list is wanted, such as [\"a\",\"b\"]", h)
			}
			fields[h] = json.RawMessage(c)
		default:
			fields.set(h, text(c))
		}
	}
	return fields, nil
}
