package devicefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ttsDevice is what is used of an end device of The Things Stack.
type ttsDevice struct {
	IDs struct {
		DeviceID string `json:"device_id"`
		DevEUI   string `json:"dev_eui"`
		JoinEUI  string `json:"join_eui"`
	} `json:"ids"`
	Name         string            `json:"name"`
	Description  string            `json:"description"`
	Attributes   map[string]string `json:"attributes"`
	Version      string            `json:"lorawan_version"`
	SupportsJoin *bool             `json:"supports_join"`
	ClassB       bool              `json:"supports_class_b"`
	ClassC       bool              `json:"supports_class_c"`
	RootKeys     struct {
		App ttsKey `json:"app_key"`
		Nwk ttsKey `json:"nwk_key"`
	} `json:"root_keys"`
	MAC struct {
		RX1Delay ttsValue `json:"rx1_delay"`
		Long     ttsValue `json:"supports_32_bit_f_cnt"`
	} `json:"mac_settings"`
	Session *struct {
		DevAddr string `json:"dev_addr"`
		Keys    struct {
			Nwk  ttsKey `json:"f_nwk_s_int_key"`
			SInt ttsKey `json:"s_nwk_s_int_key"`
			SEnc ttsKey `json:"nwk_s_enc_key"`
			App  ttsKey `json:"app_s_key"`
		} `json:"keys"`
		Up      uint32 `json:"last_f_cnt_up"`
		Down    uint32 `json:"last_n_f_cnt_down"`
		AppDown uint32 `json:"last_a_f_cnt_down"`
	} `json:"session"`
}

// ttsKey is a key in clear, or one that is wrapped.
type ttsKey struct {
	Key     string `json:"key"`
	Wrapped string `json:"encrypted_key"`
}

// ttsValue is a value, or an object that holds it.
type ttsValue string

// UnmarshalJSON reads both.
func (v *ttsValue) UnmarshalJSON(b []byte) error {
	var boxed struct {
		Value json.RawMessage `json:"value"`
	}
	if len(b) > 0 && b[0] == '{' {
		if err := json.Unmarshal(b, &boxed); err != nil {
			return err
		}
		b = boxed.Value
	}
	s, _ := scalar(b)
	*v = ttsValue(s)
	return nil
}

func ttsOfJSON(o Fields) (Fields, error) {
	raw, err := json.Marshal(o)
	if inner, ok := o["end_device"]; ok {
		raw = inner
	}
	var d ttsDevice
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
		return nil, fmt.Errorf("%s: a %s where a %s is wanted", kind.Field, kind.Value, kind.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("not an end device of The Things Stack: %w", err)
	}
	return ttsFields(&d, nil)
}

// ttsOfCSV reads the columns of The Things Stack's CSV.
func ttsOfCSV(c map[string]string) (*ttsDevice, error) {
	o := map[string]any{
		"ids":              map[string]string{"device_id": c["id"], "dev_eui": c["dev_eui"], "join_eui": first(c["join_eui"], c["app_eui"])},
		"name":             c["name"],
		"description":      c["description"],
		"lorawan_version":  c["lorawan_version"],
		"supports_class_b": c["supports_class_b"] == "true",
		"supports_class_c": c["supports_class_c"] == "true",
		"root_keys":        map[string]any{"app_key": map[string]string{"key": c["app_key"]}, "nwk_key": map[string]string{"key": c["nwk_key"]}},
		"mac_settings":     map[string]any{"rx1_delay": c["rx1_delay"], "supports_32_bit_f_cnt": c["supports_32_bit_f_cnt"]},
	}
	if c["dev_addr"] != "" {
		s := map[string]any{
			"dev_addr": c["dev_addr"],
			"keys": map[string]any{
				"f_nwk_s_int_key": map[string]string{"key": c["f_nwk_s_int_key"]}, "app_s_key": map[string]string{"key": c["app_s_key"]},
				"s_nwk_s_int_key": map[string]string{"key": c["s_nwk_s_int_key"]}, "nwk_s_enc_key": map[string]string{"key": c["nwk_s_enc_key"]},
			},
		}
		for _, name := range []string{"last_f_cnt_up", "last_n_f_cnt_down", "last_a_f_cnt_down"} {
			if c[name] == "" {
				continue
			}
			n, err := strconv.ParseUint(c[name], 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%s: %.32q is not a whole number from 0 to 4294967295", name, c[name])
			}
			s[name] = n
		}
		o["session"] = s
	}
	raw, err := json.Marshal(o)
	d := &ttsDevice{}
	if err == nil {
		err = json.Unmarshal(raw, d)
	}
	return d, err
}

// ttsFields: The Things Stack's counters are the last ones used.
func ttsFields(d *ttsDevice, err error) (Fields, error) {
	if err != nil {
		return nil, err
	}
	f := Fields{}
	f.word("dev_eui", d.IDs.DevEUI)
	f.word("app_eui", d.IDs.JoinEUI)
	version := macVersion(strings.TrimPrefix(strings.TrimPrefix(d.Version, "MAC_"), "V"))
	f.word("lorawan_version", version)
	if d.RootKeys.App.Wrapped != "" && d.RootKeys.App.Key == "" {
		return nil, errors.New("root_keys.app_key: it is wrapped (encrypted_key): export the keys in clear")
	}
	f.word("app_key", d.RootKeys.App.Key)
	if strings.HasPrefix(version, "1.1") {
		f.word("nwk_key", d.RootKeys.Nwk.Key)
	}
	if s := d.Session; s != nil && s.DevAddr != "" {
		f.word("dev_addr", s.DevAddr)
		f.word("nwkskey", s.Keys.Nwk.Key)
		f.word("appskey", s.Keys.App.Key)
		if s.Up > 0 { // 0 is left out, as if no uplink had come
			f.word("counter_up", fmt.Sprint(uint64(s.Up)+1))
		}
		if strings.HasPrefix(version, "1.1") {
			f.word("snwksintkey", s.Keys.SInt.Key)
			f.word("nwksenckey", s.Keys.SEnc.Key)
			f.word("counter_down", fmt.Sprint(uint64(s.Down)+1))
			f.word("counter_down_app", fmt.Sprint(uint64(s.AppDown)+1))
		} else {
			f.word("counter_down", fmt.Sprint(uint64(max(s.Down, s.AppDown))+1))
		}
	}
	if d.SupportsJoin != nil && !*d.SupportsJoin || d.SupportsJoin == nil && d.RootKeys.App.Key == "" && f["nwkskey"] != nil {
		f.word("activation", "ABP")
	}
	switch {
	case d.ClassC:
		f.word("dev_class", "C")
	case d.ClassB:
		f.word("dev_class", "B")
	}
	f.word("rx1.delay", strings.TrimPrefix(string(d.MAC.RX1Delay), "RX_DELAY_"))
	if d.MAC.Long == "false" {
		f.word("counters_size", "2")
	}
	var tags []string
	for k, v := range d.Attributes {
		tags = append(tags, k+"="+v)
	}
	return withTags(f, tags, first(d.Name, d.IDs.DeviceID), d.Description)
}
