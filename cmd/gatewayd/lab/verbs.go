package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	doc string // one line
	own bool   // of the whole bench, not of one device
	run func(ctx context.Context, b *Bench, args map[string]any) (any, error)
}

// ErrCall says that a verb was called wrongly.
var ErrCall = errors.New("wrong call")

// vocabulary is everything that scripts and the HTTP interface can say.
func vocabulary() map[string]verb {
	return map[string]verb{
		"device":          {"make a device known to the network; a virtual one is switched on", true, with(device)},
		"dut":             {"the device under test, with changed settings", true, with(dut)},
		"settings":        {"change a device's settings in the network", false, with(settings)},
		"reboot":          {"switch a virtual device off and on again", false, with(reboot)},
		"expect_session":  {"wait until a device can talk: for its join, unless it is personalised", false, with(expectSession)},
		"region":          {"what the regional parameters say", true, with(regional)},
		"expect_join":     {"wait until a device has asked to join and got its accept", false, with(expectJoin)},
		"expect_uplink":   {"wait for a data frame of a device", false, with(expectUplink)},
		"expect_downlink": {"wait until a downlink to a device was on the air", false, with(expectDownlink)},
		"expect_notice":   {"wait for what the network server says of a device", false, with(expectNotice)},
		"expect_silence":  {"see that a device sends nothing for a while", false, with(expectSilence)},
		"answer":          {"answer the last uplink of a device", false, with(answer)},
		"push":            {"send a downlink now, to a device of class B or C", false, with(push)},
		"probe":           {"send a confirmed downlink after the next uplink, and see whether it is acknowledged", false, with(probe)},
		"mac":             {"send MAC commands that the network server knows nothing of", false, with(mac)},
		"status":          {"ask a device for its battery and margin", false, with(status)},
		"fault":           {"arm a fault", false, with(arm)},
		"faults":          {"list the armed faults", true, with(faults)},
		"disarm":          {"take a fault back, or all", true, with(disarm)},
		"send_raw":        {"send any frame at any microsecond", true, with(sendRaw)},
		"listen_raw":      {"wait for any frame, be its CRC bad or its network foreign", true, with(listenRaw)},
		"measure":         {"collect figures of a device's next uplinks", false, with(measure)},
		"wait":            {"let time pass", true, with(wait)},
		"now":             {"the time of the bench, seconds", true, with(now)},
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
