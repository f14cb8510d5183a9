package lab

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"gatewayd/nsedge"
)

// Tables of keys as Wireshark's LoRaWAN dissector has them: a file each in its
// configuration folder. Up to Wireshark 4.0 there was one for all.
const (
	sessionKeys    = "session_keys_lorawan"    // DevAddr, NwkSKey, AppSKey
	rootKeys       = "root_keys_lorawan"       // DevEUI, AppKey
	encryptionKeys = "encryption_keys_lorawan" // DevAddr, NwkSKey, AppSKey, AppEUI, as on the air: low byte first
)

// KeyTables are the names of the tables, which are those of their files.
func KeyTables() []string { return []string{sessionKeys, rootKeys, encryptionKeys} }

// Keys are the keys of all devices for Wireshark: the text of each of its
// tables, by the name of its file.
func (b *Bench) Keys(ctx context.Context) (map[string]string, error) {
	if err := b.begun(); err != nil {
		return nil, err
	}
	tables := map[string]string{}
	for _, name := range KeyTables() {
		tables[name] = ""
	}
	err := b.edge.Load().Devices(ctx, func(d nsedge.Device) bool {
		for table, line := range keyLines(&d) {
			tables[table] += line
		}
		return true
	})
	return tables, err
}

// keyLines are a device's lines in each table. Of LoRaWAN 1.1, which the
// dissector doesn't know, the key of uplinks is the network's.
func keyLines(d *nsedge.Device) map[string]string {
	nobody, none := strings.Repeat("0", 8), strings.Repeat("0", 32)
	lines := map[string]string{}
	if d.DevAddr != nil && d.NwkSKey != nil {
		app := none // held by the application alone
		if d.AppSKey != nil {
			app = hex.EncodeToString(d.AppSKey[:])
		}
		nwk := hex.EncodeToString(d.NwkSKey[:])
		lines[sessionKeys] = line(d.DevAddr.String(), nwk, app)
		lines[encryptionKeys] = line(lowFirst(d.DevAddr[:]), nwk, app, strings.Repeat("0", 16))
	}
	root := d.AppKey
	if d.NwkKey != nil {
		root = d.NwkKey // signs joins in 1.1
	}
	if root != nil {
		key := hex.EncodeToString(root[:])
		lines[rootKeys] = line(d.DevEUI.String(), key)
		lines[encryptionKeys] += line(nobody, none, key, lowFirst(d.AppEUI[:]))
	}
	return lines
}

// line is one of such a file.
func line(fields ...string) string { return `"` + strings.Join(fields, `","`) + "\"\n" }

func lowFirst(b []byte) string {
	b = slices.Clone(b)
	slices.Reverse(b)
	return hex.EncodeToString(b)
}
