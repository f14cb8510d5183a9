package config_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"gatewayd/cmd/gatewayd/config"
)

func changes(t *testing.T, text string) (m map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEditKeepsWhatItDoesNotChange(t *testing.T) {
	for _, c := range []struct{ text, change, want string }{
		{"", `{"region.name":"US915-2"}`, "[region]\nname = \"US915-2\"\n"},
		{"# mine\n[region] # here\n# the band\n  name='EU868' # old\nduty_cycle = true\n[log]\nlevel = \"info\"\n", `{"region.name":"US915-2","log.level":"warn"}`,
			"# mine\n[region] # here\n# the band\nname = \"US915-2\"\nduty_cycle = true\n[log]\nlevel = \"warn\"\n"},
		{"[gateway]\n\n[log]\nlevel = \"info\"\n", `{"gateway.altitude":12,"gateway.antenna_gain":2.5,"log.format":"json"}`,
			"[gateway]\naltitude = 12\nantenna_gain = 2.5\n\n[log]\nlevel = \"info\"\nformat = \"json\"\n"},
		{"[concentrator]\nspi = \"\"\n", `{"concentrator.sx130x_conf":"/a \"b\" \\c","region.duty_cycle":false}`,
			"[concentrator]\nspi = \"\"\nsx130x_conf = \"/a \\\"b\\\" \\\\c\"\n\n[region]\nduty_cycle = false\n"},
	} {
		got, err := config.Edit([]byte(c.text), changes(t, c.change))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%s in\n%s\ngives\n%s\nnot\n%s", c.change, c.text, got, c.want)
		}
		if _, err := config.Parse("edited", got); err != nil {
			t.Errorf("%v\n%s", err, got)
		}
	}
	for _, bad := range []string{`{"region":"x"}`, `{"region.nam":"x"}`, `{"region.nam":"x"}`, `{"region.name":["x"]}`, `{"region.name":null}`, `{"region.name":"a\nb"}`} {
		if got, err := config.Edit(nil, changes(t, bad)); err == nil {
			t.Errorf("%s gives %s", bad, got)
		}
	}
}

func TestEveryValueCanBeEdited(t *testing.T) {
	var text bytes.Buffer
	if err := config.Default().Print(&text); err != nil {
		t.Fatal(err)
	}
	values := config.Default().Values()
	if len(values) != len(config.Keys()) {
		t.Errorf("%d values of %d keys", len(values), len(config.Keys()))
	}
	for i, v := range values {
		if v.Key != config.Keys()[i] || v.Meaning == "" || v.Value != v.Default {
			t.Errorf("%+v", v)
		}
		raw, err := json.Marshal(v.Value)
		if err != nil {
			t.Fatal(err)
		}
		got, err := config.Edit(text.Bytes(), map[string]json.RawMessage{v.Key: raw})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := config.Parse("edited", got); err != nil || c != config.Default() {
			t.Errorf("%s: %v", v.Key, err)
		}
	}
}

// Whatever is edited, Parse says whether it is good; nothing panics.
func FuzzEdit(f *testing.F) {
	f.Add([]byte("[log]\nlevel = \"info\"\n"), "log.level", `"warn"`)
	f.Add([]byte("log = {level='x'}"), "log.level", `7`)
	f.Fuzz(func(_ *testing.T, text []byte, key, value string) {
		got, err := config.Edit(text, map[string]json.RawMessage{key: json.RawMessage(value)})
		if err == nil {
			_, _ = config.Parse("edited", got) // it may be wrong
		}
	})
}
