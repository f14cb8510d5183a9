package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"gatewayd/nsedge"
	"gatewayd/nsedge/enddevice"
	"gatewayd/nsedge/lab"
	"gatewayd/radio"
)

// subject is a device on the bench.
type subject struct {
	eui  radio.EUI64
	spec nsedge.Device
	next map[string]int // where each kind of expectation goes on in the events
	stop context.CancelFunc
	soft *enddevice.Config // nil: a real device
	gone sync.WaitGroup

	group *subject                    // multicast; nil: none
	cycle func(context.Context) error // of a real device; nil: only somebody can switch it off and on
}

// deviceArgs describe a device; what isn't given has a default.
type deviceArgs struct {
	DevEUI     *radio.EUI64 `json:"dev_eui"`
	JoinEUI    *radio.EUI64 `json:"join_eui"`
	AppKey     *hexKey      `json:"app_key"`
	NwkKey     *hexKey      `json:"nwk_key"`
	Activation string       `json:"activation"`
	DevAddr    *hexAddr     `json:"dev_addr"`
	NwkSKey    *hexKey      `json:"nwkskey"`
	AppSKey    *hexKey      `json:"appskey"`
	Class      string       `json:"class"`
	Version    string       `json:"version"`
	Virtual    string       `json:"virtual"` // "": a real device; "healthy", or the name of a mutant
	Tags       []string     `json:"tags"`
	Multicast  *groupArgs   `json:"multicast"` // a group that it belongs to
	settingArgs
}

// settingArgs are what can be changed later.
type settingArgs struct {
	Device      *radio.EUI64 `json:"device"`
	RX1Delay    *int         `json:"rx1_delay"`    // s
	RX1Offset   *int         `json:"rx1_offset"`   // RX1DROffset
	RX2DataRate *int         `json:"rx2_datarate"` // DR
	RX2Freq     *float64     `json:"rx2_freq"`     // MHz
	RX2Only     *bool        `json:"rx2_only"`
	ADR         *string      `json:"adr"`    // on, off, static
	Policy      *string      `json:"policy"` // strict, relaxed, lab
	MAC         *string      `json:"mac"`    // auto, hands-off
	DutyCycle   *int         `json:"max_duty_cycle"`
	ADRDataRate *int         `json:"adr_datarate"` // with adr = "static"
	ADRPower    *int         `json:"adr_power"`    // likewise, index
	CounterDown *uint32      `json:"counter_down"` // of the next downlink; upwards only
	MoveRX1     []moved      `json:"rx1_freqs"`    // RX1 of channels on frequencies of their own (DlChannelReq)
	PingFreq    *float64     `json:"ping_freq"`    // MHz, class B
	PingRate    *int         `json:"ping_datarate"`
	AckLimit    *int         `json:"adr_ack_limit"` // with the next, LoRaWAN 1.1: ADR_ACK_LIMIT is 2^n
	AckDelay    *int         `json:"adr_ack_delay"`
	RejoinCount *int         `json:"rejoin_count"` // LoRaWAN 1.1: a rejoin-request after 2^(n+4) uplinks
}

// longestRejoin is the exponent of the longest time between rejoin-requests.
const longestRejoin = 15

// moved is where RX1 of a channel is.
type moved struct {
	Index int     `json:"index"`
	Freq  float64 `json:"freq"` // MHz
}

type hexKey [16]byte

// UnmarshalText takes 32 hex digits.
func (k *hexKey) UnmarshalText(text []byte) error { return unhex(k[:], text, "a key") }

type hexAddr [4]byte

// UnmarshalText takes 8 hex digits.
func (a *hexAddr) UnmarshalText(text []byte) error { return unhex(a[:], text, "a DevAddr") }

func unhex(into []byte, text []byte, what string) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(into) {
		return fmt.Errorf("%q is not %s: %d hex digits are wanted", text, what, 2*len(into))
	}
	copy(into, b)
	return nil
}

// freeDevEUI is for a device that nobody named. The lock is held.
func (b *Bench) freeDevEUI() radio.EUI64 {
	return radio.EUI64{0x02, 0x1A, 0xB0, 0xFF, 0xFE, 0, 0, byte(len(b.devices) + 1)}
}

// dutEUI is the device under test that nobody named: the same each time.
func (b *Bench) dutEUI() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dut == (radio.EUI64{}) {
		b.dut = b.freeDevEUI()
	}
	return b.dut.String()
}

// device makes a device known and, if it is a virtual one, switches it on.
func device(ctx context.Context, b *Bench, a deviceArgs) (any, error) {
	spec := nsedge.Device{Activation: nsedge.OTAA, Encryption: nsedge.KeysAtNS, Class: "A", Version: "1.0.4", Tags: append([]string{"lab"}, a.Tags...), ADR: nsedge.ADR{Mode: "off"}, Policy: nsedge.PolicyLab}
	b.mu.Lock()
	spec.DevEUI = b.freeDevEUI()
	b.mu.Unlock()
	spec.AppEUI = radio.EUI64{0x02, 0x1A, 0xB0, 0xFF, 0xFE, 0xFF, 0xFF, 0xFF}
	a.preset()
	a.into(&spec)
	a.settingArgs.into(&spec)
	b.complete(&spec)
	if old, err := b.named(&spec.DevEUI); err == nil {
		old.off()
	}
	if err := b.edge.Load().DeleteDevice(ctx, spec.DevEUI); err != nil && !errors.Is(err, nsedge.ErrUnknownDevice) {
		return nil, err
	}
	if err := b.edge.Load().CreateDevice(ctx, spec); err != nil {
		return nil, err
	}
	s := &subject{eui: spec.DevEUI, spec: spec}
	if a.Multicast != nil {
		if err := b.makeGroup(ctx, s, *a.Multicast); err != nil {
			return nil, err
		}
	}
	b.put(s)
	if err := b.know(ctx, s); err != nil {
		return nil, err
	}
	if a.Virtual != "" {
		if err := b.switchOn(s, a.Virtual); err != nil {
			return nil, err
		}
	}
	out := Result{"device": s.eui.String(), "dev_eui": s.eui.String(), "join_eui": spec.AppEUI.String(), "dev_class": spec.Class, "version": spec.Version, "activation": string(spec.Activation), "can_reboot": s.soft != nil}
	if s.group != nil {
		out["group"] = s.group.eui.String()
	}
	return out, nil
}

func (a *deviceArgs) into(d *nsedge.Device) {
	if a.DevEUI != nil {
		d.DevEUI = *a.DevEUI
	}
	if a.JoinEUI != nil {
		d.AppEUI = *a.JoinEUI
	}
	if a.Activation != "" {
		d.Activation = nsedge.Activation(strings.ToUpper(a.Activation))
	}
	if a.Class != "" {
		d.Class = strings.ToUpper(a.Class)
	}
	if a.Version != "" {
		d.Version = a.Version
	}
	for _, k := range []struct {
		from *hexKey
		to   **nsedge.Key
	}{{a.AppKey, &d.AppKey}, {a.NwkKey, &d.NwkKey}, {a.NwkSKey, &d.NwkSKey}, {a.AppSKey, &d.AppSKey}} {
		if k.from != nil {
			key := nsedge.Key(*k.from)
			*k.to = &key
		}
	}
	if a.DevAddr != nil {
		addr := nsedge.DevAddr(*a.DevAddr)
		d.DevAddr = &addr
	}
}

func (a *settingArgs) into(d *nsedge.Device) {
	if a.RX1Delay != nil {
		d.RX1Delay = *a.RX1Delay
	}
	if a.RX1Offset != nil {
		d.RX1Offset = a.RX1Offset
	}
	if a.RX2DataRate != nil {
		d.RX2DataRate = a.RX2DataRate
	}
	if a.RX2Freq != nil {
		d.RX2Freq = megahertz(*a.RX2Freq)
	}
	if a.RX2Only != nil {
		d.RX2Force = *a.RX2Only
	}
	if a.ADR != nil {
		d.ADR.Mode = *a.ADR
	}
	if a.Policy != nil {
		d.Policy = nsedge.Policy(*a.Policy)
	}
	if a.MAC != nil && *a.MAC != "auto" {
		d.MAC = *a.MAC
	}
	if a.DutyCycle != nil {
		d.MaxDutyCycle = a.DutyCycle
	}
	if a.ADRDataRate != nil {
		d.ADR.DataRate = a.ADRDataRate
	}
	if a.ADRPower != nil {
		d.ADR.TXPower = a.ADRPower
	}
	switch {
	case a.CounterDown == nil:
	case d.SNwkSIntKey != nil: // 1.1: applications have one of their own
		d.CounterDownApp = *a.CounterDown
	default:
		d.CounterDown = *a.CounterDown
	}
	if a.PingFreq != nil {
		d.PingSlots.Freq = megahertz(*a.PingFreq)
	}
	if a.PingRate != nil {
		d.PingSlots.DataRate = a.PingRate
	}
	if a.AckLimit != nil || a.AckDelay != nil {
		d.ADRParam = &nsedge.ADRParam{Limit: deref(a.AckLimit), Delay: deref(a.AckDelay)}
	}
	if a.RejoinCount != nil {
		d.RejoinParam = &nsedge.RejoinParam{Time: longestRejoin, Count: *a.RejoinCount}
	}
	for _, m := range a.MoveRX1 {
		d.DownlinkChannels = append(d.DownlinkChannels, nsedge.DownlinkChannel{Index: m.Index, Freq: megahertz(m.Freq)})
	}
}

// complete makes the keys that nobody gave. They follow from the seed, so that
// a run can be repeated to the bit; they protect nothing.
func (b *Bench) complete(d *nsedge.Device) {
	var wanted []**nsedge.Key
	if d.Activation == nsedge.OTAA {
		wanted = append(wanted, &d.AppKey)
		if strings.HasPrefix(d.Version, "1.1") {
			wanted = append(wanted, &d.NwkKey)
		}
	} else {
		wanted = append(wanted, &d.NwkSKey, &d.AppSKey)
		if d.DevAddr == nil {
			d.DevAddr = &nsedge.DevAddr{0, 0, d.DevEUI[4], d.DevEUI[7]}
		}
	}
	for i, k := range wanted {
		if *k != nil {
			continue
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "gatewayd lab %d %v %d", b.cfg.Seed, d.DevEUI, i))
		*k = new(nsedge.Key)
		copy((*k)[:], sum[:])
	}
}

// dut is the device under test as the command line gave it.
func dut(ctx context.Context, b *Bench, a map[string]any) (any, error) {
	args := map[string]any{}
	maps.Copy(args, b.cfg.Target.Device)
	if b.cfg.Target.Virtual != "" {
		args["virtual"] = b.cfg.Target.Virtual
	}
	maps.Copy(args, a)
	if args["dev_eui"] == nil {
		args["dev_eui"] = b.dutEUI()
	}
	made, err := b.Call(ctx, "device", args)
	if err != nil {
		return nil, err
	}
	if args["virtual"] != nil {
		return made, nil
	}
	s, err := b.named(nil)
	if err != nil {
		return nil, err
	}
	out := made.(Result) //nolint:forcetypeassert // it is what device returns
	s.cycle = b.cfg.Target.Cycle
	out["can_reboot"] = s.cycle != nil
	if start := b.cfg.Target.Start; start != nil {
		err = start(ctx)
	}
	return out, err
}

// settings changes what the network does with a device.
func settings(ctx context.Context, b *Bench, a settingArgs) (any, error) {
	s, err := b.named(a.Device)
	if err != nil {
		return nil, err
	}
	_, err = b.edge.Load().UpdateDevice(ctx, s.eui, func(d *nsedge.Device) error { a.into(d); return nil })
	return nil, err
}

// know tells the layer which keys a device has now.
func (b *Bench) know(ctx context.Context, s *subject) error {
	d, err := b.edge.Load().Device(ctx, s.eui)
	if err != nil {
		return err
	}
	k := lab.Keys{V11: d.SNwkSIntKey != nil}
	for _, x := range []struct {
		from *nsedge.Key
		to   *[16]byte
	}{{d.AppKey, &k.Root}, {d.NwkKey, &k.Root}, {d.NwkSKey, &k.NwkSKey}, {d.SNwkSIntKey, &k.SNwkSIntKey}, {d.NwkSEncKey, &k.NwkSEncKey}} {
		if x.from != nil {
			*x.to = *x.from
		}
	}
	if d.DevAddr != nil {
		k.DevAddr = *d.DevAddr
	}
	b.layer.Know(s.eui, k)
	return nil
}

type deviceOnly struct {
	Device *radio.EUI64 `json:"device"`
}

// reboot is a power cycle; the device keeps what it must keep.
func reboot(ctx context.Context, b *Bench, a deviceOnly) (any, error) {
	s, err := b.named(a.Device)
	switch {
	case err != nil:
		return nil, err
	case s.cycle != nil:
		return nil, s.cycle(ctx)
	case s.soft == nil:
		return nil, fmt.Errorf("%w: %v is a real device: somebody has to switch it off and on", ErrCall, s.eui)
	}
	s.off()
	return nil, b.run(s)
}
