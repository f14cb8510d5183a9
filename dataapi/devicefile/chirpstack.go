package devicefile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// chirpStackOfJSON takes the objects of ChirpStack's REST API: device,
// deviceKeys and deviceActivation, together in one object or with their
// fields directly in it.
func chirpStackOfJSON(o Fields) (Fields, error) {
	flat, tags := map[string]string{}, []string{}
	var take func(o Fields) error
	take = func(o Fields) error {
		for name, raw := range o {
			switch squeeze(name) {
			case "device", "devicekeys", "deviceactivation", "keys", "activation", "deviceprofile":
				inner := Fields{}
				if err := json.Unmarshal(raw, &inner); err != nil {
					return fmt.Errorf("%s: an object is wanted", name)
				}
				if squeeze(name) == "deviceprofile" {
					inner = Fields{"macVersion": inner["macVersion"], "supportsOtaa": inner["supportsOtaa"], "supportsClassC": inner["supportsClassC"], "supportsClassB": inner["supportsClassB"]}
				}
				for nested := range inner {
					if s := squeeze(nested); s == "device" || s == "deviceprofile" {
						delete(inner, nested)
					}
				}
				if err := take(inner); err != nil {
					return err
				}
			case "tags":
				m := map[string]string{}
				if err := json.Unmarshal(raw, &m); err != nil {
					return fmt.Errorf("%s: an object of texts is wanted", name)
				}
				for k, v := range m {
					tags = append(tags, k+"="+v)
				}
			default:
				if s, ok := scalar(raw); ok {
					flat[squeeze(name)] = s
				}
			}
		}
		return nil
	}
	if err := take(o); err != nil {
		return nil, err
	}
	return chirpStackFields(flat, tags)
}

// scalar is a text, number or boolean as text.
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || string(raw) == "null" {
		return "", false
	}
	if raw[0] != '"' {
		return string(raw), true
	}
	var s string
	return s, json.Unmarshal(raw, &s) == nil
}

func chirpStackOfCSV(cells map[string]string) (Fields, error) {
	flat, tags := map[string]string{}, []string{}
	for name, v := range cells {
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			tags = append(tags, key+"="+v)
			continue
		}
		flat[squeeze(name)] = v
	}
	return chirpStackFields(flat, tags)
}

// chirpStackFields: ChirpStack has the one root key of LoRaWAN 1.0 in nwkKey;
// appKey is that of 1.1. Its counters are those that come next.
func chirpStackFields(flat map[string]string, tags []string) (Fields, error) {
	f := Fields{}
	for theirs, ours := range map[string]string{
		"deveui": "dev_eui", "joineui": "app_eui", "appeui": "app_eui", "devaddr": "dev_addr", "appskey": "appskey",
		"fcntup": "counter_up", "nfcntdown": "counter_down", "fcntdown": "counter_down",
	} {
		f.word(ours, flat[theirs])
	}
	app, nwk := real(flat["appkey"]), real(flat["nwkkey"])
	if app != "" && nwk != "" && !strings.EqualFold(app, nwk) {
		f.word("nwk_key", nwk)
		f.word("app_key", app)
	} else {
		f.word("app_key", first(nwk, app))
	}
	version := macVersion(strings.TrimPrefix(flat["macversion"], "LORAWAN_"))
	f.word("nwkskey", first(real(flat["fnwksintkey"]), real(flat["nwksenckey"]), real(flat["nwkskey"])))
	if sint, enc := real(flat["snwksintkey"]), real(flat["nwksenckey"]); strings.HasPrefix(version, "1.1") || sint != "" && enc != "" && sint != enc {
		f.word("snwksintkey", sint)
		f.word("nwksenckey", enc)
		f.word("counter_down_app", flat["afcntdown"])
	}
	if f["app_key"] == nil && (f["nwkskey"] != nil || flat["supportsotaa"] == "false") {
		f.word("activation", "ABP")
	}
	if class := strings.TrimPrefix(first(flat["classenabled"], flat["devclass"], flat["class"]), "CLASS_"); class != "" {
		f.word("dev_class", class)
	} else if flat["supportsclassc"] == "true" {
		f.word("dev_class", "C")
	}
	f.word("lorawan_version", version)
	if flat["skipfcntcheck"] == "true" {
		f.word("policy", "lab")
	}
	if flat["isdisabled"] == "true" {
		f.word("block_uplink", "true")
		f.word("block_downlink", "true")
	}
	return withTags(f, tags, flat["name"], flat["description"])
}

// real is a key that isn't all zeros, which stands for none.
func real(key string) string {
	if strings.Trim(key, "0") == "" {
		return ""
	}
	return key
}

func first(of ...string) string {
	for _, s := range of {
		if s != "" {
			return s
		}
	}
	return ""
}

// macVersion makes 1.0.2 of 1_0_2, and 1.0.0 of 1.0.
func macVersion(s string) string {
	s = strings.ReplaceAll(s, "_", ".")
	if strings.Count(s, ".") == 1 {
		s += ".0"
	}
	return s
}

// withTags keeps names and descriptions as tags.
func withTags(f Fields, tags []string, name, description string) (Fields, error) {
	slices.Sort(tags)
	if name != "" {
		tags = append(tags, "name="+name)
	}
	if description != "" {
		tags = append(tags, "description="+description)
	}
	if len(tags) == 0 {
		return f, nil
	}
	b, err := json.Marshal(tags)
	f["tags"] = b
	return f, err
}
