package devicefile

import (
	"encoding/json"
	"strings"
	"testing"
)

// all reads a file into one JSON object a device.
func all(t testing.TB, file string, f Format) (Format, []string) {
	t.Helper()
	f, rows, err := Read(strings.NewReader(file), f)
	if err != nil {
		return f, []string{"! " + err.Error()}
	}
	var out []string
	for row, err := range rows {
		if err == nil {
			err = row.Err
		}
		if err != nil {
			out = append(out, "! "+row.At+" "+err.Error())
			continue
		}
		b, err := json.Marshal(row.Fields)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return f, out
}

func TestEachFormatIsReadForWhatItIs(t *testing.T) {
	const key, nwk = "000102030405060708090A0B0C0D0E0F", "0F0102030405060708090A0B0C0D0E00"
	for _, c := range []struct {
		name, file string
		format     Format
		want       []string
	}{
		{"our CSV with a BOM, order free", "\xef\xbb\xbftags,rx1.delay,dev_eui\n\"a,b\",5,01\n,,02\n", CSV, []string{`{"dev_eui":"01","rx1":{"delay":"5"},"tags":"a,b"}`, `{"dev_eui":"02"}`}},
		{"semicolons", "dev_eui;tags\r\n01;\"[\"\"a,b\"\"]\"\r\n", CSV, []string{`{"dev_eui":"01","tags":["a,b"]}`}},
		{"a short row", "dev_eui,tags\n01\n02,a\n", CSV, []string{`! line 2 1 fields, the header has 2: quote a field with ',' in it`, `{"dev_eui":"02","tags":"a"}`}},
		{"an export", `{"devices":[{"dev_eui":"01"},{"dev_eui":"02"}],"total":2}`, JSON, []string{`{"dev_eui":"01"}`, `{"dev_eui":"02"}`}},
		{"a list", ` [{"dev_eui":"01"},null]`, JSON, []string{`{"dev_eui":"01"}`, `! device 2 a device is an object, not null`}},
		{"one after the other", "{\"dev_eui\":\"01\"}\n{\"dev_eui\":\"02\"}\n", JSON, []string{`{"dev_eui":"01"}`, `{"dev_eui":"02"}`}},
		{"an empty list", `[]`, JSON, nil},
		// The fields of ChirpStack's api/device.proto, as its REST API shows them.
		{"ChirpStack's JSON", `[{"device":{"devEui":"01","name":"one","joinEui":"02","skipFcntCheck":true,"isDisabled":false,"tags":{"room":"9"}},"deviceKeys":{"nwkKey":"` + key + `","appKey":"00000000000000000000000000000000"},
			"deviceActivation":{"devAddr":"01020304","appSKey":"` + key + `","nwkSEncKey":"` + nwk + `","fCntUp":7,"nFCntDown":3}}]`, ChirpStack,
			[]string{`{"app_eui":"02","app_key":"` + key + `","appskey":"` + key + `","counter_down":"3","counter_up":"7","dev_addr":"01020304","dev_eui":"01","nwkskey":"` + nwk + `","policy":"lab","tags":["room=9","name=one"]}`}},
		{"ChirpStack's list", `{"totalCount":1,"result":[{"devEui":"01","name":"n","deviceProfileId":"x"}]}`, ChirpStack, []string{`{"dev_eui":"01","tags":["name=n"]}`}},
		{"ChirpStack's CSV", "devEui,joinEui,nwkKey,name,tag:room\n01,02," + key + ",n,9\n", ChirpStack, []string{`{"app_eui":"02","app_key":"` + key + `","dev_eui":"01","tags":["room=9","name=n"]}`}},
		// The example of The Things Stack's JSON file reference, and its EndDevice message.
		{"The Things Stack's JSON", `{"ids":{"device_id":"my-device","dev_eui":"0102030405060708","join_eui":"0102030405060708"},"name":"My Device","lorawan_version":"MAC_V1_0_2","supports_join":true,"supports_class_c":true,
			"root_keys":{"app_key":{"key":"` + key + `"}},"mac_settings":{"rx1_delay":{"value":"RX_DELAY_5"},"supports_32_bit_f_cnt":{"value":false}},
			"session":{"dev_addr":"01020304","keys":{"f_nwk_s_int_key":{"key":"` + nwk + `"},"app_s_key":{"key":"` + key + `"}},"last_f_cnt_up":11,"last_n_f_cnt_down":4,"last_a_f_cnt_down":6}}
			{"ids":{"dev_eui":"02"},"root_keys":{"app_key":{"encrypted_key":"AA=="}}}`, TTS,
			[]string{`{"app_eui":"0102030405060708","app_key":"` + key + `","appskey":"` + key + `","counter_down":"7","counter_up":"12","counters_size":"2","dev_addr":"01020304","dev_class":"C","dev_eui":"0102030405060708","lorawan_version":"1.0.2","nwkskey":"` + nwk + `","rx1":{"delay":"5"},"tags":["name=My Device"]}`,
				`! device 2 root_keys.app_key: it is wrapped (encrypted_key): export the keys in clear`}},
		{"ChirpStack's session of 1.1", "devEui,macVersion,devAddr,appSKey,nwkSEncKey,sNwkSIntKey,fNwkSIntKey,nFCntDown,aFCntDown\n01,LORAWAN_1_1_0,01020304," + key + "," + nwk + "," + key + "," + nwk + ",3,4\n", ChirpStack,
			[]string{`{"activation":"ABP","appskey":"` + key + `","counter_down":"3","counter_down_app":"4","dev_addr":"01020304","dev_eui":"01","lorawan_version":"1.1.0","nwksenckey":"` + nwk + `","nwkskey":"` + nwk + `","snwksintkey":"` + key + `"}`}},
		{"The Things Stack's session of 1.1", "dev_eui;lorawan_version;nwk_key;app_key;dev_addr;app_s_key;f_nwk_s_int_key;s_nwk_s_int_key;nwk_s_enc_key;last_n_f_cnt_down;last_a_f_cnt_down\n" +
			"01;MAC_V1_1;" + nwk + ";" + key + ";01020304;" + key + ";" + nwk + ";" + key + ";" + nwk + ";2;3\n", TTS,
			[]string{`{"app_key":"` + key + `","appskey":"` + key + `","counter_down":"3","counter_down_app":"4","dev_addr":"01020304","dev_eui":"01","lorawan_version":"1.1.0","nwk_key":"` + nwk + `","nwksenckey":"` + nwk + `","nwkskey":"` + nwk + `","snwksintkey":"` + key + `"}`}},
		{"The Things Stack's CSV", "id;dev_eui;join_eui;name;frequency_plan_id;lorawan_version;app_key;rx1_delay;dev_addr;app_s_key;f_nwk_s_int_key;last_f_cnt_up\n" +
			"one;01;02;Device 1;EU_863_870_TTN;MAC_V1_0_4;" + key + ";RX_DELAY_5;01020304;" + key + ";" + nwk + ";12\n" +
			"two;02;02;;EU_863_870_TTN;MAC_V1_1;;;01020304;;;many\n", TTS,
			[]string{`{"app_eui":"02","app_key":"` + key + `","appskey":"` + key + `","counter_down":"1","counter_up":"13","dev_addr":"01020304","dev_eui":"01","lorawan_version":"1.0.4","nwkskey":"` + nwk + `","rx1":{"delay":"5"},"tags":["name=Device 1"]}`,
				`! line 3 last_f_cnt_up: "many" is not a whole number from 0 to 4294967295`}},
	} {
		for _, f := range []Format{Auto, c.format} {
			format, got := all(t, c.file, f)
			if format != c.format || strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%s: as %s\n%s\nnot %s\n%s", c.name, format, strings.Join(got, "\n"), c.format, strings.Join(c.want, "\n"))
			}
		}
	}
}

func TestAFileThatCantBeReadSaysWhy(t *testing.T) {
	for file, want := range map[string]string{
		"": "empty", "\xef\xbb\xbf \n": "empty", "dev_eui,dev_eui\n": "twice", "eui,x\n": "eui", "dev_eui,colour\n": "colour", `[{"dev_eui":`: "cut off",
		`{"devices":7}`: "list", "[7]": "object", `{"dev_eui":"01"} 7`: "object", "{x}": "byte",
	} {
		if _, got := all(t, file, Auto); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "! ") || !strings.Contains(got[len(got)-1], want) {
			t.Errorf("%q: %q", file, got)
		}
	}
	if _, got := all(t, "{}", CSV); !strings.Contains(got[0], "JSON") {
		t.Error(got)
	}
	if _, got := all(t, "a", JSON); !strings.Contains(got[0], "csv") {
		t.Error(got)
	}
	if _, err := Parse("xml"); err == nil {
		t.Error("xml is no format")
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"dev_eui;tags\n01;a\n", `{"devices":[{"dev_eui":"01"}],"x":1}`, `[{"ids":{"dev_eui":"01"},"session":{"dev_addr":"1"}}]`, `{"device":{"devEui":"1","tags":{"a":"b"}}}`, "devEui,tag:x\n1,2\n", "dev_eui;lorawan_version;dev_addr\n1;MAC_V1_0;2\n"} {
		for i := range Formats() {
			f.Add(s, byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, file string, which byte) {
		format := Format(Formats()[int(which)%len(Formats())])
		got, rows := all(t, file, format)
		if format != Auto && got != format {
			t.Errorf("%s was asked for, %s was read", format, got)
		}
		for _, r := range rows {
			if !strings.HasPrefix(r, "! ") && !strings.HasPrefix(r, "{") {
				t.Errorf("neither fields nor a reason: %s", r)
			}
		}
	})
}
