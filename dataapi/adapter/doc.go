// Package adapter carries messages to application servers that don't connect
// by themselves: [HTTP] posts each message to a URL, [MQTT] publishes it to a
// broker. Both know nothing of what the messages mean.
//
// An adapter's Run owns its connections. Whoever has messages never waits for
// one: [HTTP.Offer] drops what finds its queue full, and [MQTT] pulls messages
// out of a history when it can take one, so that after a reconnect it goes on
// where it was.
//
// The rules and their numbers are those of Everynet's HTTP and MQTT
// connections; docs/data-api.md has them for users.
package adapter

import (
	"fmt"
	"net/url"
	"strings"
)

// Message is one message on its way out.
type Message struct {
	ID     string // unique
	Number uint64 // in order of delivery; 0 is outside that order
	Vars   Vars
	Text   []byte // JSON
}

// Vars fill the placeholders of a template.
type Vars struct{ Type, Device, DeviceAddr, Application, Gateway, Network string }

func (v Vars) all() [][2]string {
	return [][2]string{{"{type}", v.Type}, {"{device}", v.Device}, {"{device_addr}", v.DeviceAddr}, {"{application}", v.Application}, {"{gateway}", v.Gateway}, {"{network}", v.Network}}
}

// fill replaces the placeholders of a template by what escape makes of the
// values.
func (v Vars) fill(template string, escape func(string) string) string {
	var pairs []string
	for _, p := range v.all() {
		pairs = append(pairs, p[0], escape(p[1]))
	}
	return strings.NewReplacer(pairs...).Replace(template)
}

// checkPlaceholders finds braces that are no placeholder.
func checkPlaceholders(template string) error {
	rest := Vars{}.fill(template, url.PathEscape)
	if i := strings.IndexAny(rest, "{}"); i >= 0 {
		return fmt.Errorf("%.40q: placeholders are {type}, {device}, {device_addr}, {application}, {gateway} and {network}", rest[i:])
	}
	return nil
}

// CheckURL says what is wrong with a URL template of [HTTP].
func CheckURL(template string) error {
	if err := checkPlaceholders(template); err != nil {
		return err
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(template, "https://"), "http://"), "/")
	if strings.Contains(host, "{") {
		return fmt.Errorf("placeholders may stand after the host and port only")
	}
	u, err := url.Parse(Vars{}.fill(template, url.PathEscape))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("http://HOST[:PORT]/PATH or https://… is wanted")
	}
	return nil
}

// CheckURI says what is wrong with the URI of a broker of [MQTT].
func CheckURI(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" {
		return fmt.Errorf("mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts://…, ws://… or wss://… is wanted")
	}
	switch u.Scheme {
	case "mqtt", "mqtts", "ws", "wss":
		return nil
	}
	return fmt.Errorf("scheme %q; mqtt, mqtts, ws and wss are allowed", u.Scheme)
}

// CheckTopicUp says what is wrong with the template of the topic that
// messages are published to.
func CheckTopicUp(topic string) error {
	if topic == "" {
		return fmt.Errorf("a topic is wanted, such as gatewayd/{device}/{type}")
	}
	if strings.ContainsAny(topic, "+#\x00") {
		return fmt.Errorf("%.40q has a wildcard; messages are published to one topic", topic)
	}
	return checkPlaceholders(topic)
}

// CheckTopicDown says what is wrong with the topic that messages from the
// application are read from; placeholders stand for any word.
func CheckTopicDown(topic string) error {
	filter := subscription(topic)
	for i, level := range strings.Split(filter, "/") {
		wild := strings.ContainsAny(level, "+#")
		if wild && len(level) > 1 || level == "#" && i != strings.Count(filter, "/") || strings.Contains(level, "\x00") {
			return fmt.Errorf("%.40q: + stands for a whole level, # for all levels at the end", topic)
		}
	}
	return checkPlaceholders(topic)
}

func subscription(topic string) string {
	wild := func(string) string { return "+" }
	return Vars{}.fill(topic, wild)
}

// Status is how an adapter does.
type Status struct {
	State     string `json:"state"` // "starting", "connected", "down" or "paused"
	Sent      uint64 `json:"sent"`
	Failed    uint64 `json:"failed"`  // tries that failed
	Dropped   uint64 `json:"dropped"` // messages given up
	LastError string `json:"last_error"`
}
