package doctor_test

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"gatewayd/cmd/gatewayd/doctor"
)

// secretTexts are what must never leave, in the forms in which they are met.
var secretTexts = map[string]string{
	`app_key=2b7e151628aed2a6abf7158809cf4f3c`:                             "2b7e15",
	`"nwkSEncKey": "2B7E1516 28AED2A6 ABF71588 09CF4F3C"`:                  "2B7E",
	`token = "g3t-1n-n0w"`:                                                 "g3t-1n-n0w",
	`password: 'correct horse'`:                                            "horse",
	`Authorization: Bearer abcdefgh.ijklmnop`:                              "ijklmnop",
	`GET /api/v1.0/data?access_token=s3cr3t&radio=1`:                       "s3cr3t",
	`broker = "mqtts://ann:hunter22@example.org:8883"`:                     "hunter22",
	"-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----": "MHcCAQ",
	`wifi_psk=opensesame`:                                                  "opensesame",
	`{"api_key":"k-1234567","x":1}`:                                        "k-1234567",
	`key bytes 2b:7e:15:16:28:ae:d2:a6:ab:f7:15:88:09:cf:4f:3c`:            "2b:7e",
}

func TestScrubTakesEverySecretAndLeavesTheRest(t *testing.T) {
	for in, secret := range secretTexts {
		if out := string(doctor.Scrub([]byte(in))); strings.Contains(out, secret) || !strings.Contains(out, "removed") {
			t.Errorf("%q: %q", in, out)
		}
	}
	for _, plain := range []string{
		`dev_eui = "70b3d57ed0000001"`, `spi = "/dev/spidev0.0"`, `tls_key = "/etc/gatewayd/key.pem"`, "version 0x05, status 0x2A",
		"2026-11-23T06:10:59Z gateway 0016c0fffe000001",
	} {
		if out := string(doctor.Scrub([]byte(plain))); out != plain {
			t.Errorf("%q: %q", plain, out)
		}
	}
}

func TestBundleHoldsReportConfigurationAndHostWithoutSecrets(t *testing.T) {
	p := newPi(t, "rak2287")
	p.files["proc/cmdline"] = text("console=tty1 wifi.password=opensesame")
	p.subject.Config.DataAPI.Listen = "0.0.0.0:8080"
	r := doctor.Examine(t.Context(), p.subject, nil)
	var b bytes.Buffer
	if err := doctor.Bundle(&b, p.subject, r, doctor.File{Name: "log.txt", Text: []byte("app_key=2b7e151628aed2a6abf7158809cf4f3c\n")}); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(f.Name, "gatewayd-support/")] = string(text)
	}
	for name, want := range map[string]string{
		"report.txt": "Verdict:", "report.json": `"checks"`, "gatewayd.toml": "0.0.0.0:8080", "board.toml": "reset = 17",
		"host-boot-firmware-config.txt.txt": "spi=on", "log.txt": "app_key=[removed]", "host-proc-cmdline.txt": "password=[removed]",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: %q lacks %q", name, files[name], want)
		}
	}
	for name, text := range files {
		if strings.Contains(text, "opensesame") || strings.Contains(text, "2b7e1516") {
			t.Errorf("%s has a secret: %q", name, text)
		}
	}
}

func TestReportIsPrintedForPeopleAndMachines(t *testing.T) {
	p := newPi(t, "rak2287")
	delete(p.files, "dev/spidev0.0")
	r := doctor.Examine(t.Context(), p.subject, nil)
	var text, machine bytes.Buffer
	r.Print(&text)
	if err := r.JSON(&machine); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"bad      concentrator's port", "expected: /dev/spidev0.0", "next: Put dtparam=spi=on", "Verdict: this gateway doesn't work. Next: "} {
		if !strings.Contains(text.String(), w) {
			t.Errorf("%q is missing:\n%s", w, &text)
		}
	}
	if !strings.Contains(machine.String(), `"verdict": "bad"`) {
		t.Error(machine.String())
	}
}

func FuzzScrub(f *testing.F) {
	for in := range secretTexts {
		f.Add(in)
	}
	f.Fuzz(func(_ *testing.T, text string) { doctor.Scrub([]byte(text)) })
}
