package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/crypto/ssh"
)

// System is the card's system.toml.
type System struct {
	Hostname string  `toml:"hostname"`
	Network  Network `toml:"network"`
	WiFi     WiFi    `toml:"wifi"`
	User     User    `toml:"user"`
	SSH      SSH     `toml:"ssh"`
}

// Network is how Ethernet gets its address: by DHCP, or one that is fixed.
type Network struct {
	Address string   `toml:"address"` // with prefix length; empty: DHCP
	Router  string   `toml:"router"`
	DNS     string   `toml:"dns"`
	NTP     []string `toml:"ntp"` // also for Wi-Fi
}

// WiFi is a network to join, whose address comes by DHCP.
type WiFi struct {
	SSID       string `toml:"ssid"`       // empty: no Wi-Fi
	Passphrase string `toml:"passphrase"` // of WPA2; empty: an open network
	Country    string `toml:"country"`    // two letters; empty: what is allowed everywhere
}

// User may sign in. The gateway makes it, or gives it this password.
type User struct {
	Email        string `toml:"email"`
	PasswordHash string `toml:"password_hash"` // of "gatewayd user hash"
}

// SSH lets those in who have one of the keys, in the format of authorized_keys.
type SSH struct {
	Keys []string `toml:"keys"`
}

func defaultSystem() System { return System{Hostname: "gateway"} }

var (
	hostname = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
	country  = regexp.MustCompile(`^([A-Z]{2})?$`)
)

// parseSystem reads system.toml. The error names the line or key that is
// wrong, and what is allowed; the defaults then hold.
func parseSystem(text []byte) (System, error) {
	s := defaultSystem()
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) {
			return defaultSystem(), errors.New("a key is not known:\n" + unknown.String())
		}
		var where *toml.DecodeError
		if errors.As(err, &where) {
			err = errors.New("a line is not understood:\n" + where.String())
		}
		return defaultSystem(), err
	}
	if err := s.check(); err != nil {
		return defaultSystem(), err
	}
	return s, nil
}

func (s System) check() error {
	if !hostname.MatchString(s.Hostname) {
		return fmt.Errorf("hostname = %q: up to 63 letters, digits and hyphens are allowed", s.Hostname)
	}
	return errors.Join(s.Network.check(), s.WiFi.check(), s.User.check(), s.SSH.check())
}

func (n Network) check() error {
	if n.Address == "" {
		if n.Router != "" || n.DNS != "" {
			return errors.New("network.router and network.dns need network.address; without it, DHCP tells all three")
		}
		return nil
	}
	if p, err := netip.ParsePrefix(n.Address); err != nil || !p.Addr().Is4() {
		return fmt.Errorf("network.address = %q: an IPv4 address with its prefix length is wanted, such as 192.168.1.5/24", n.Address)
	}
	for key, v := range map[string]string{"router": n.Router, "dns": n.DNS} {
		if a, err := netip.ParseAddr(v); v != "" && (err != nil || !a.Is4()) {
			return fmt.Errorf("network.%s = %q: an IPv4 address is wanted, such as 192.168.1.1", key, v)
		}
	}
	return nil
}

// static is what gokrazy's DHCP client takes in place of a lease.
func (n Network) static() string {
	p := netip.MustParsePrefix(n.Address) // checked
	lease := map[string]any{"IP": p.Addr(), "Netmask": net.CIDRMask(p.Bits(), 32)}
	if n.Router != "" {
		lease["Router"] = n.Router
	}
	if n.DNS != "" {
		lease["DNS"] = []string{n.DNS}
	}
	text, err := json.Marshal(lease)
	if err != nil {
		panic(err) // addresses
	}
	return string(text)
}

// check never repeats the passphrase: it would stand in ERROR.TXT and on the
// screen.
func (w WiFi) check() error {
	if w.SSID == "" {
		if w.Passphrase != "" || w.Country != "" {
			return errors.New("wifi.passphrase and wifi.country need wifi.ssid")
		}
		return nil
	}
	if len(w.SSID) > 32 {
		return fmt.Errorf("wifi.ssid = %q: at most 32 bytes are allowed", w.SSID)
	}
	if n := len(w.Passphrase); n != 0 && (n < 8 || n > 63) {
		return fmt.Errorf("wifi.passphrase has %d characters: 8 to 63 are allowed, or none for an open network", n)
	}
	if !country.MatchString(w.Country) {
		return fmt.Errorf("wifi.country = %q: two capital letters are wanted, such as DE", w.Country)
	}
	return nil
}

func (u User) check() error {
	if u == (User{}) {
		return nil
	}
	if a, err := mail.ParseAddress(u.Email); err != nil || a.Address != u.Email {
		return fmt.Errorf("user.email = %q: an address such as someone@example.org is wanted", u.Email)
	}
	if !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
		return errors.New("user.password_hash: what \"gatewayd user hash\" prints is wanted; it begins with $argon2id$")
	}
	return nil
}

func (s SSH) check() error {
	_, err := s.parse()
	return err
}

// parse returns the keys in the form in which clients show them.
func (s SSH) parse() (map[string]bool, error) {
	keys := make(map[string]bool)
	for i, line := range s.Keys {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("ssh.keys: number %d is no public key; a line such as \"ssh-ed25519 AAAA... ann\" is wanted, as in the file id_ed25519.pub", i+1)
		}
		keys[string(key.Marshal())] = true
	}
	return keys, nil
}
