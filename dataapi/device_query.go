package dataapi

import (
	"slices"
	"strconv"
	"strings"

	"gatewayd/nsedge"
)

// term is one "field:value[,value…]" of ?q=; terms are ANDed, values ORed.
type term struct {
	field  string
	values []string
}

// queryFields are what ?q= searches.
const queryFields = "dev_eui, dev_addr, dev_class, tags, app_eui, activation, encryption, org, band, multicast"

// parseDeviceQuery reads ?q=, which may be given more than once.
func parseDeviceQuery(p parameters) ([]term, error) {
	var terms []term
	for _, q := range p["q"] {
		for word := range strings.FieldsSeq(q) {
			field, value, ok := strings.Cut(word, ":")
			if field == "tag" {
				field = "tags"
			}
			if !ok || !slices.Contains(strings.Split(queryFields, ", "), field) {
				return nil, badParameter("q", "%s; terms of the form field:value are allowed, with the fields %s", shown(word), queryFields)
			}
			terms = append(terms, term{field, parameters{"v": {value}}.members("v")})
		}
	}
	return terms, nil
}

func matchAll(terms []term, d *nsedge.Device, org string) bool {
	for _, t := range terms {
		if !slices.ContainsFunc(t.values, func(v string) bool { return t.match(d, org, v) }) {
			return false
		}
	}
	return true
}

// match: parts of addresses are enough, words and tags must be whole.
func (t term) match(d *nsedge.Device, org, v string) bool {
	switch t.field {
	case "dev_eui":
		return hexPart(d.DevEUI[:], v)
	case "app_eui":
		return hexPart(d.AppEUI[:], v)
	case "dev_addr":
		return d.DevAddr != nil && hexPart(d.DevAddr[:], v)
	case "dev_class":
		return strings.EqualFold(d.Class, v)
	case "tags":
		return slices.Contains(d.Tags, v)
	case "activation":
		return strings.EqualFold(string(d.Activation), v)
	case "encryption":
		return strings.EqualFold(string(d.Encryption), v)
	case "band":
		return strings.EqualFold(d.Band, v)
	case "multicast":
		return strconv.FormatBool(d.Multicast) == strings.ToLower(v)
	}
	return org == v
}

// deviceSorts are the fields for ?sort=.
func deviceSorts() []string {
	return []string{"dev_eui", "app_eui", "dev_addr", "dev_class", "activation", "encryption", "band", "tags", "counter_up", "counter_down", "last_activity", "last_join", "org"}
}

// sortKey is what a device is sorted by, as text that compares rightly.
func sortKey(d *nsedge.Device, field string) string {
	switch field {
	case "dev_eui":
		return d.DevEUI.String()
	case "app_eui":
		return d.AppEUI.String()
	case "dev_addr":
		if d.DevAddr == nil {
			return ""
		}
		return d.DevAddr.String()
	case "dev_class":
		return d.Class
	case "activation":
		return string(d.Activation)
	case "encryption":
		return string(d.Encryption)
	case "band":
		return d.Band
	case "tags":
		return strings.Join(d.Tags, ",")
	case "counter_up":
		return number(int64(d.CounterUp))
	case "counter_down":
		return number(int64(d.CounterDown))
	case "last_activity":
		return number(d.LastActivity.Unix())
	case "last_join":
		return number(d.LastJoin.Unix())
	}
	return "" // there is one org
}
