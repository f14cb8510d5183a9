package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"gatewayd/radio"
)

// Result is what a verb returns: an object of JSON's kinds of value. One with
// the key "device" can be called on: its verbs mean that device.
type Result = map[string]any

// verb is one word of the vocabulary.
type verb struct {
	doc  string // one line
	own  bool   // of the whole bench, not of one device
	args reflect.Type
	run  func(ctx context.Context, b *Bench, args map[string]any) (any, error)
}

func word[A any](doc string, own bool, run func(context.Context, *Bench, A) (any, error)) verb {
	return verb{doc, own, reflect.TypeFor[A](), with(run)}
}

// ErrCall says that a verb was called wrongly.
var ErrCall = errors.New("wrong call")

// vocabulary is everything that scripts and the HTTP interface can say.
func vocabulary() map[string]verb {
	return map[string]verb{
		"device":          word("make a device known to the network; a virtual one is switched on", true, device),
		"dut":             word("the device under test, with changed settings", true, dut),
		"settings":        word("change a device's settings in the network", false, settings),
		"reboot":          word("switch a virtual device off and on again", false, reboot),
		"expect_session":  word("wait until a device can talk: for its join, unless it is personalised", false, expectSession),
		"region":          word("what the regional parameters say", true, regional),
		"expect_join":     word("wait until a device has asked to join and got its accept", false, expectJoin),
		"expect_uplink":   word("wait for a data frame of a device", false, expectUplink),
		"expect_downlink": word("wait until a downlink to a device was on the air", false, expectDownlink),
		"expect_notice":   word("wait for what the network server says of a device", false, expectNotice),
		"expect_silence":  word("see that a device sends nothing for a while", false, expectSilence),
		"answer":          word("answer the last uplink of a device", false, answer),
		"push":            word("send a downlink now, to a device of class B or C", false, push),
		"probe":           word("send a confirmed downlink after the next uplink, and see whether it is acknowledged", false, probe),
		"mac":             word("send MAC commands that the network server knows nothing of", false, mac),
		"rejoin":          word("ask a device of LoRaWAN 1.1 for a rejoin-request, and wait until it is answered", false, rejoin),
		"status":          word("ask a device for its battery and margin", false, status),
		"fault":           word("arm a fault", false, arm),
		"faults":          word("list the armed faults", true, faults),
		"disarm":          word("take a fault back, or all", true, disarm),
		"send_raw":        word("send any frame at any microsecond", true, sendRaw),
		"listen_raw":      word("wait for any frame, be its CRC bad or its network foreign", true, listenRaw),
		"measure":         word("collect figures of a device's next uplinks", false, measure),
		"wait":            word("let time pass", true, wait),
		"now":             word("the time of the bench, seconds", true, now),
	}
}

// Verbs are the words of the vocabulary with a line about each.
func Verbs() map[string]string {
	out := map[string]string{}
	for name, v := range vocabulary() {
		out[name] = v.doc
	}
	return out
}

// Arguments are the names of what a verb takes, in order.
func Arguments(verb string) []string {
	v, ok := vocabulary()[verb]
	if !ok {
		return nil
	}
	return names(v.args)
}

// names are those that JSON has for the fields of a type.
func names(t reflect.Type) (out []string) {
	if t.Kind() != reflect.Struct {
		return nil // what it hands on
	}
	for f := range t.Fields() {
		if f.Anonymous {
			out = append(out, names(f.Type)...)
		} else {
			out = append(out, f.Tag.Get("json"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Call runs a verb with named arguments. The error wraps [ErrCall] where the
// call was wrong, and is what happened else.
func (b *Bench) Call(ctx context.Context, name string, args map[string]any) (any, error) {
	v, ok := vocabulary()[name]
	if !ok {
		return nil, fmt.Errorf("%w: there is no %q; there are %s", ErrCall, name, strings.Join(slices.Sorted(maps.Keys(vocabulary())), ", "))
	}
	if b.edge.Load() == nil {
		return nil, fmt.Errorf("%w: the gateway has not started yet; try again", ErrCall)
	}
	out, err := v.run(ctx, b, args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// with decodes the arguments into A, whose JSON names are theirs.
func with[A any](run func(context.Context, *Bench, A) (any, error)) func(context.Context, *Bench, map[string]any) (any, error) {
	return func(ctx context.Context, b *Bench, args map[string]any) (any, error) {
		text, err := json.Marshal(args)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCall, err)
		}
		var a A
		in := json.NewDecoder(bytes.NewReader(text))
		in.DisallowUnknownFields()
		if err := in.Decode(&a); err != nil {
			return nil, fmt.Errorf("%w: %s", ErrCall, plain(err))
		}
		return run(ctx, b, a)
	}
}

// plain turns a decoder's error into words about arguments.
func plain(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%s is a %s; a %s is wanted", t.Field, t.Value, t.Type)
	}
	return strings.NewReplacer("json: ", "", "unknown field", "unknown argument").Replace(err.Error())
}

// Seconds are times in scripts.
type Seconds float64

// Duration as Go has it; or is for zero.
func (s Seconds) Duration(or time.Duration) time.Duration {
	if s == 0 {
		return or
	}
	return time.Duration(float64(s) * float64(time.Second))
}

// named finds the device of a call: the one that is named, or the last one.
func (b *Bench) named(eui *radio.EUI64) (*subject, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	which := b.last
	if eui != nil {
		which = *eui
	}
	s, ok := b.devices[which]
	if !ok {
		return nil, fmt.Errorf(`%w: device %v is not on the bench; call device(...) or dut() first`, ErrCall, which)
	}
	return s, nil
}

type waitArgs struct {
	Seconds Seconds `json:"seconds"`
}

func wait(ctx context.Context, _ *Bench, a waitArgs) (any, error) {
	if a.Seconds < 0 {
		return nil, fmt.Errorf("%w: seconds is %v; 0 or more is allowed", ErrCall, a.Seconds)
	}
	over := time.NewTimer(a.Seconds.Duration(0))
	defer over.Stop()
	select {
	case <-over.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func now(context.Context, *Bench, struct{}) (any, error) {
	return float64(time.Now().UnixMicro()) / 1e6, nil
}
