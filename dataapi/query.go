package dataapi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatewayd/radio"
)

// mostReplayed is the largest last_messages.
const mostReplayed = 1000

// request is what a client asks for when it connects.
type request struct {
	filter filter
	shape  shape
	last   int     // last_messages
	from   float64 // from_unixtime, 0 is off
	mark   bool    // history_end: say when the replay is through
}

// parameters are the query's, unescaped. Empty values count as not given,
// which is also what becomes of "&&".
type parameters map[string][]string

// parseParameters is tolerant: what can't be unescaped is kept as it came and
// judged only if somebody asks for that parameter.
func parseParameters(raw string) parameters {
	p := parameters{}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), strings.TrimSpace(unescape(value))
		if value != "" {
			p[name] = append(p[name], value)
		}
	}
	return p
}

func unescape(s string) string {
	if text, err := url.QueryUnescape(s); err == nil {
		return text
	}
	return s
}

// last is the last value given for the parameter, "" if there is none.
func (p parameters) last(name string) string {
	if v := p[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// members are all members of a comma separated list.
func (p parameters) members(name string) []string {
	var out []string
	for _, v := range p[name] {
		for m := range strings.SplitSeq(v, ",") {
			if m = strings.TrimSpace(m); m != "" {
				out = append(out, m)
			}
		}
	}
	return out
}

func (p parameters) flag(name string) (bool, error) {
	switch v := p.last(name); strings.ToLower(v) {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	default:
		return false, badParameter(name, "%s; allowed are 1, 0, true and false", shown(v))
	}
}

func (p parameters) euis(name string) (map[radio.EUI64]bool, error) {
	var set map[radio.EUI64]bool
	for _, m := range p.members(name) {
		e, err := radio.ParseEUI64(m)
		if err != nil {
			return nil, badParameter(name, "%s; a comma separated list of EUIs with 16 hex digits each is allowed", shown(m))
		}
		if set == nil {
			set = map[radio.EUI64]bool{}
		}
		set[e] = true
	}
	return set, nil
}

// parseRequest reads the query of a connection, but for a stored filter.
func parseRequest(p parameters) (request, error) {
	var r request
	if err := r.parseLists(p); err != nil {
		return r, err
	}
	if err := r.parseFlags(p); err != nil {
		return r, err
	}
	return r, r.parseReplay(p)
}

func (r *request) parseLists(p parameters) (err error) {
	if r.filter.kinds, err = parseTypes(p.members("types")); err != nil {
		return err
	}
	if r.filter.devices, err = p.euis("devices"); err != nil {
		return err
	}
	if r.filter.gateways, err = p.euis("gateways"); err != nil {
		return err
	}
	if r.filter.applications, err = p.euis("applications"); err != nil {
		return err
	}
	for _, t := range p.members("tags") {
		if r.filter.tags == nil {
			r.filter.tags = map[string]bool{}
		}
		r.filter.tags[t] = true
	}
	return nil
}

// parseTypes returns the default types where none are named.
func parseTypes(names []string) (kind, error) {
	var kinds kind
	for _, name := range names {
		name = strings.ToLower(name)
		k, ok := parseKind(name)
		switch {
		case ok:
			kinds |= k
		case name == "downlink_claim": // stands in a published example
		case slices.Contains([]string{"downlink_response", "join_response", "status_request"}, name):
			return 0, badParameter("types", "%s is sent by applications, not to them; allowed are %s", name, kind(1<<len(kindNames)-1))
		default:
			return 0, badParameter("types", "%s is unknown; allowed are %s", shown(name), kind(1<<len(kindNames)-1))
		}
	}
	if kinds == 0 {
		return defaultKinds, nil
	}
	return kinds, nil
}

func (r *request) parseFlags(p parameters) error {
	for _, f := range []struct {
		name string
		set  func()
	}{
		{"radio", func() { r.shape |= withRadio }},
		{"lora", func() { r.shape |= withLoRa }},
		{"numeric_modulation", func() { r.shape |= withNumbers }},
		{"history_end", func() { r.mark = true }},
		{"duplicate", func() { r.filter.duplicates = true }},
		{"duplicates", func() { r.filter.duplicates = true }},
	} {
		on, err := p.flag(f.name)
		if err != nil {
			return err
		}
		if on {
			f.set()
		}
	}
	return nil
}

func (r *request) parseReplay(p parameters) error {
	if v := p.last("last_messages"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > mostReplayed {
			return badParameter("last_messages", "%s; a whole number from 0 to %d is allowed", shown(v), mostReplayed)
		}
		r.last = n
	}
	if v := p.last("from_unixtime"); v != "" {
		t, err := strconv.ParseFloat(v, 64)
		if err != nil || !(t >= 0 && t < 1<<40) {
			return badParameter("from_unixtime", "%s; a unix time in seconds is allowed, such as 1669718927.5", shown(v))
		}
		r.from = t
	}
	return nil
}
