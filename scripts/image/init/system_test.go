package main

import (
	"strings"
	"testing"
)

func TestSystemFile(t *testing.T) {
	good, err := parseSystem([]byte("hostname = \"roof\"\n[network]\naddress = \"192.168.1.5/24\"\nrouter = \"192.168.1.1\"\nntp = [\"a\"]\n"))
	if err != nil || good.Hostname != "roof" || good.Network.NTP[0] != "a" {
		t.Fatalf("%+v, %v", good, err)
	}
	// Netmask is a net.IPMask in JSON, which is base64 of its bytes.
	if got := good.Network.static(); got != `{"IP":"192.168.1.5","Netmask":"////AA==","Router":"192.168.1.1"}` {
		t.Error(got)
	}
	all := "[wifi]\nssid = \"net\"\npassphrase = \"12345678\"\ncountry = \"DE\"\n[user]\nemail = \"ann@example.org\"\npassword_hash = \"$argon2id$v=19$x\"\n" +
		"[ssh]\nkeys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUrSnBfJWTjGMRGhMbSGD0FwrlLXXfbBCTCGLfAS ann\"]\n"
	if s, err := parseSystem([]byte(all)); err != nil || s.WiFi != (WiFi{"net", "12345678", "DE"}) || s.User.Email != "ann@example.org" || len(s.SSH.Keys) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := parseSystem(nil); err != nil || s.Hostname != "gateway" {
		t.Errorf("an empty file: %+v, %v", s, err)
	}
	for text, says := range map[string]string{ //nolint:gosec // no secrets
		"hostname = \"a b\"":                                 `hostname = "a b": up to 63`,
		"hostname = 5":                                       "hostname",
		"host = \"a\"":                                       "host",
		"[network]\naddress = \"192.168.1.5\"":               "network.address",
		"[network]\naddress = \"fe80::1/64\"":                "IPv4",
		"[network]\nrouter = \"192.168.1.5\"":                "network.address",
		"[network]\naddress=\"10.0.0.1/8\"\ndns=\"x\"\n":     `network.dns = "x"`,
		"[wifi]\npassphrase=\"12345678\"":                    "need wifi.ssid",
		"[wifi]\nssid=\"a\"\npassphrase=\"1234567\"":         "wifi.passphrase has 7 characters",
		"[wifi]\nssid=\"a\"\ncountry=\"de\"":                 `wifi.country = "de"`,
		"[wifi]\nssid=\"123456789012345678901234567890123\"": "at most 32 bytes",
		"[user]\nemail=\"ann\"":                              `user.email = "ann"`,
		"[user]\nemail=\"a@b\"\npassword_hash=\"secret\"":    `"gatewayd user hash"`,
		"[ssh]\nkeys=[\"ssh-ed25519 x\"]":                    "ssh.keys: number 1",
		"[network\n":                                         "",
	} {
		s, err := parseSystem([]byte(text))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "1234567\"") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v; it should say %q", text, err, says)
		}
		if s.Hostname != "gateway" || s.Network.Address != "" {
			t.Errorf("%q: defaults should hold: %+v", text, s)
		}
	}
}

func FuzzSystemFile(f *testing.F) {
	f.Add([]byte("hostname = \"roof\"\n[network]\naddress = \"192.168.1.5/24\"\nrouter = \"192.168.1.1\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSystem(text)
		if err == nil && s.Network.Address != "" && !strings.Contains(s.Network.static(), `"IP"`) {
			t.Errorf("%q: %s", text, s.Network.static())
		}
	})
}
