package nsedge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/region"
	"gatewayd/radio"
)

// The test kit: a scripted Air, a store whose synced part is known, and
// devices made of brocaar/lorawan. Everything runs in a synctest bubble.

const lead = 4 * time.Millisecond // of the fake transmitter

// fakeAir is a transmitter with a counter of its own and no receiver.
type fakeAir struct {
	up      chan radio.Uplink
	reports chan radio.Report
	zero    time.Time

	mu     sync.Mutex
	sent   []radio.Downlink
	refuse func(radio.Downlink) error // by Schedule
	fail   func(radio.Downlink) error // by Report
}

func newAir() *fakeAir {
	return &fakeAir{up: make(chan radio.Uplink, 64), reports: make(chan radio.Report, 64), zero: time.Now().Add(-time.Hour)}
}

func (a *fakeAir) Uplinks() <-chan radio.Uplink      { return a.up }
func (a *fakeAir) Reports() <-chan radio.Report      { return a.reports }
func (a *fakeAir) Lead(radio.Downlink) time.Duration { return lead }
func (a *fakeAir) instant(t time.Time) radio.Instant {
	return radio.Instant(t.Sub(a.zero).Microseconds())
}
func (a *fakeAir) moment(i radio.Instant) time.Time {
	return a.zero.Add(time.Duration(i) * time.Microsecond)
}
func (a *fakeAir) frames() []radio.Downlink {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sent)
}

func (a *fakeAir) Schedule(_ context.Context, d radio.Downlink) error {
	start := a.moment(d.At)
	if left := time.Until(start); left < lead {
		return fmt.Errorf("%w: %v left, %v needed", radio.ErrTooLate, left, lead)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != nil {
		if err := a.refuse(d); err != nil {
			return err
		}
	}
	r := radio.Report{ID: d.ID, Planned: d.At}
	if a.fail != nil {
		r.Err = a.fail(d)
	}
	when := start.Add(d.Mod.Airtime(len(d.Payload)))
	if r.Err != nil {
		when = start.Add(-lead)
	} else {
		a.sent = append(a.sent, d)
		r.Armed, r.Started, r.Ended, r.Power = d.At-4000, d.At, a.instant(when), d.Power
	}
	time.AfterFunc(time.Until(when), func() { a.reports <- r })
	return nil
}

// memStore is a store in memory.
type memStore struct {
	mu       sync.Mutex
	docs     map[string]map[string][]byte
	states   map[[8]byte][]byte
	synced   map[[8]byte][]byte
	syncs    int
	syncTime time.Duration
	err      error // of every change
}

func newStore() *memStore {
	return &memStore{docs: map[string]map[string][]byte{}, states: map[[8]byte][]byte{}, synced: map[[8]byte][]byte{}}
}

// afterPowerCut is a copy that lacks everything unsynced.
func (s *memStore) afterPowerCut() *memStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := newStore()
	for b, m := range s.docs {
		n.docs[b] = maps.Clone(m)
	}
	n.states, n.synced = maps.Clone(s.synced), maps.Clone(s.synced)
	return n
}

func (s *memStore) Put(bucket string, key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.docs[bucket] == nil {
		s.docs[bucket] = map[string][]byte{}
	}
	s.docs[bucket][string(key)] = bytes.Clone(value)
	return nil
}

func (s *memStore) Get(bucket string, key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.docs[bucket][string(key)], nil
}

func (s *memStore) Delete(bucket string, key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.docs[bucket], string(key))
	return s.err
}

func (s *memStore) Each(bucket string, f func(k, v []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(s.docs[bucket])) {
		if err := f([]byte(k), s.docs[bucket][k]); err != nil {
			return err
		}
	}
	return nil
}

func (s *memStore) Append(key [8]byte, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.states[key] = bytes.Clone(value)
	return nil
}

func (s *memStore) EachState(f func(key [8]byte, value []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.states {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *memStore) Forget(key [8]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.states, key)
	delete(s.synced, key)
	return s.err
}

func (s *memStore) Sync(ctx context.Context) error {
	s.mu.Lock()
	now, wait, err := maps.Clone(s.states), s.syncTime, s.err
	s.mu.Unlock()
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncs++
	if err == nil {
		s.synced = now
	}
	return err
}

// bench is an edge under test, with all that it published.
type bench struct {
	*testing.T
	air   *fakeAir
	store *memStore
	edge  *Edge
	stop  func()

	mu     sync.Mutex
	events []Event
}

func mustRegion(t testing.TB, name string) *region.Region {
	t.Helper()
	r, err := region.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var gatewayEUI = radio.EUI64{0, 0x16, 0xc0, 1, 0xf1, 0x50, 0, 1}

func testConfig(t testing.TB, s Store) Config {
	return Config{Region: mustRegion(t, "EU868"), NetID: [3]byte{0, 0, 1}, Gateway: gatewayEUI, Store: s, GPS: HostGPS}
}

// scenario runs f with a running edge in a bubble.
func scenario(t *testing.T, f func(b *bench)) { scenarioWith(t, nil, f) }

func scenarioWith(t *testing.T, change func(*Config), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, air: newAir(), store: newStore()}
		b.start(change)
		defer func() { b.stop() }()
		f(b)
	})
}

// start makes and runs an edge on the bench's store.
func (b *bench) start(change func(*Config)) {
	b.Helper()
	cfg := testConfig(b, b.store)
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg, b.air, func(ev Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, ev)
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	b.edge = e
	b.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			b.Errorf("Run returned %v", err)
		}
	}
	synctest.Wait()
}

// restart ends the edge and begins anew on what store holds.
func (b *bench) restart(s *memStore) {
	b.Helper()
	b.stop()
	time.Sleep(5 * time.Second) // reports of the old one
	b.store, b.air = s, newAir()
	b.start(nil)
}

// take returns and forgets what was published since.
func (b *bench) take() []Event {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.events
	b.events = nil
	return out
}

// all returns the events of type T among evs.
func all[T Event](evs []Event) (out []T) {
	for _, ev := range evs {
		if v, ok := ev.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

// one wants exactly one event of type T.
func one[T Event](t testing.TB, evs []Event) T {
	t.Helper()
	found := all[T](evs)
	if len(found) != 1 {
		t.Fatalf("%d events of type %T, want 1, among %s", len(found), *new(T), describe(evs))
	}
	return found[0]
}

// notice finds a notice by its code.
func notice(evs []Event, code string) *Notice {
	for _, n := range all[*Notice](evs) {
		if n.Code == code {
			return n
		}
	}
	return nil
}

func wantNotice(t testing.TB, evs []Event, level Level, code string) *Notice {
	t.Helper()
	n := notice(evs, code)
	if n == nil {
		t.Fatalf("no %v %s among %s", level, code, describe(evs))
	}
	if n.Level != level {
		t.Errorf("%s is %v, want %v", code, n.Level, level)
	}
	return n
}

func describe(evs []Event) (s string) {
	for _, ev := range evs {
		if n, ok := ev.(*Notice); ok {
			s += fmt.Sprintf("\n  %v %s: %s", n.Level, n.Code, n.Message)
		} else {
			s += fmt.Sprintf("\n  %T", ev)
		}
	}
	return s
}

// answer sends an answer that must be taken.
func (b *bench) answer(a Answer) {
	b.Helper()
	if err := b.edge.Answer(b.Context(), a); err != nil {
		b.Fatalf("%T refused: %v", a, err)
	}
}

// refused sends an answer that must be refused with the code.
func (b *bench) refused(a Answer, code string) *Refusal {
	b.Helper()
	err := b.edge.Answer(b.Context(), a)
	var r *Refusal
	if !errors.As(err, &r) {
		b.Fatalf("%T: %v, want a refusal with %s", a, err, code)
	}
	if r.Code != code {
		b.Fatalf("refused with %v, want %s", r, code)
	}
	return r
}

// node is a device: brocaar/lorawan with keys and counters.
type node struct {
	b        *bench
	eui, app radio.EUI64
	appKey   Key
	nonce    uint16
	addr     DevAddr
	nwk, ses Key
	up, high uint32 // the latter: upper half of FCntDown
	freq     radio.Hertz
	sf       uint8
	snr      radio.DB
}

func newNode(b *bench, id byte) *node {
	return &node{
		b: b, eui: radio.EUI64{1, 2, 3, 4, 5, 6, 7, id}, app: radio.EUI64{7: 0xaa}, appKey: Key{id, 1}, addr: DevAddr{2, 0, 0, id},
		nwk: Key{id, 2}, ses: Key{id, 3}, freq: 868_100_000, sf: 7, snr: 5,
	}
}

func (n *node) abp() Device {
	return Device{DevEUI: n.eui, AppEUI: n.app, Activation: ABP, Encryption: KeysAtNS, DevAddr: &n.addr, NwkSKey: &n.nwk, AppSKey: &n.ses, Tags: []string{"test"}}
}

func (n *node) otaa(enc Encryption) Device {
	d := Device{DevEUI: n.eui, AppEUI: n.app, Activation: OTAA, Encryption: enc}
	if enc == KeysAtNS {
		d.AppKey = &n.appKey
	}
	return d
}

func (b *bench) register(d Device) {
	b.Helper()
	if err := b.edge.CreateDevice(b.Context(), d); err != nil {
		b.Fatal(err)
	}
}

// abpNode registers an ABP device.
func (b *bench) abpNode(id byte, change func(*Device)) *node {
	b.Helper()
	n := newNode(b, id)
	d := n.abp()
	if change != nil {
		change(&d)
	}
	b.register(d)
	return n
}

// frame is what an uplink may ask for.
type frame struct {
	confirmed, ack, adrAckReq bool
	port                      *uint8
	payload, opts             []byte
	counter                   *uint32
}

func ptr[T any](v T) *T { return &v }

// encode makes a PHYPayload the way a device does.
func (n *node) encode(f frame) []byte {
	counter := n.up
	if f.counter != nil {
		counter = *f.counter
	} else {
		n.up++
	}
	m := &lorawan.MACPayload{FHDR: lorawan.FHDR{
		DevAddr: lorawan.DevAddr(n.addr), FCnt: counter, FCtrl: lorawan.FCtrl{ACK: f.ack, ADRACKReq: f.adrAckReq},
	}}
	if f.opts != nil {
		m.FHDR.FOpts = []lorawan.Payload{&lorawan.DataPayload{Bytes: f.opts}}
	}
	key := n.ses
	if f.payload != nil || f.port != nil {
		port := uint8(1)
		if f.port != nil {
			port = *f.port
		}
		if port == 0 {
			key = n.nwk
		}
		m.FPort = &port
		m.FRMPayload = []lorawan.Payload{&lorawan.DataPayload{Bytes: slices.Clone(f.payload)}}
	}
	p := lorawan.PHYPayload{MHDR: lorawan.MHDR{MType: lorawan.UnconfirmedDataUp}, MACPayload: m}
	if f.confirmed {
		p.MHDR.MType = lorawan.ConfirmedDataUp
	}
	if len(m.FRMPayload) > 0 {
		n.b.must(p.EncryptFRMPayload(lorawan.AES128Key(key)))
	}
	nwk := lorawan.AES128Key(n.nwk)
	n.b.must(p.SetUplinkDataMIC(lorawan.LoRaWAN1_0, 0, 0, 0, nwk, nwk))
	out, err := p.MarshalBinary()
	n.b.must(err)
	return out
}

func (b *bench) must(err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// hear puts bytes into the air as this node sends them; it returns when the
// edge is idle.
func (n *node) hear(phy []byte) radio.Uplink {
	u := n.uplink(phy)
	n.b.air.up <- u
	synctest.Wait()
	return u
}

func (n *node) uplink(phy []byte) radio.Uplink {
	now := time.Now()
	return radio.Uplink{
		Gateway: gatewayEUI, Payload: phy, CRC: radio.GoodCRC, At: n.b.air.instant(now), Time: now, Tmst: uint32(n.b.air.instant(now)),
		Freq: n.freq, Mod: radio.LoRa{SF: n.sf, Bandwidth: 125_000}, RSSI: -60, SNR: n.snr, IFChain: 1,
	}
}

func (n *node) send(f frame) radio.Uplink { return n.hear(n.encode(f)) }

// received is a downlink as the device decodes it.
type received struct {
	radio.Downlink
	mac     *lorawan.MACPayload
	kind    lorawan.MType
	payload []byte
}

// decode checks a downlink's MIC and decrypts it.
func (n *node) decode(d radio.Downlink) received {
	n.b.Helper()
	var p lorawan.PHYPayload
	n.b.must(p.UnmarshalBinary(slices.Clone(d.Payload)))
	p.MACPayload.(*lorawan.MACPayload).FHDR.FCnt |= n.high
	ok, err := p.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, lorawan.AES128Key(n.nwk))
	n.b.must(err)
	if !ok {
		n.b.Fatalf("MIC of downlink % x is wrong", d.Payload)
	}
	m := p.MACPayload.(*lorawan.MACPayload)
	r := received{Downlink: d, mac: m, kind: p.MHDR.MType}
	if len(m.FRMPayload) > 0 {
		n.b.must(p.DecryptFRMPayload(lorawan.AES128Key(n.ses)))
		r.payload = m.FRMPayload[0].(*lorawan.DataPayload).Bytes
	}
	return r
}

// onlyDownlink is the only frame on the air since the last call of clear.
func (n *node) onlyDownlink() received {
	n.b.Helper()
	fs := n.b.air.frames()
	if len(fs) != 1 {
		n.b.Fatalf("%d downlinks, want 1; events:%s", len(fs), describe(n.b.take()))
	}
	n.b.air.clear()
	return n.decode(fs[0])
}

func (a *fakeAir) clear() { a.mu.Lock(); defer a.mu.Unlock(); a.sent = nil }

// joinRequest makes a join-request with a new DevNonce.
func (n *node) joinRequest() []byte {
	p := lorawan.PHYPayload{
		MHDR:       lorawan.MHDR{MType: lorawan.JoinRequest},
		MACPayload: &lorawan.JoinRequestPayload{JoinEUI: lorawan.EUI64(n.app), DevEUI: lorawan.EUI64(n.eui), DevNonce: lorawan.DevNonce(n.nonce)},
	}
	n.nonce++
	n.b.must(p.SetUplinkJoinMIC(lorawan.AES128Key(n.appKey)))
	out, err := p.MarshalBinary()
	n.b.must(err)
	return out
}

// accept decodes a join-accept and begins its session.
func (n *node) accept(phy []byte) *lorawan.JoinAcceptPayload {
	n.b.Helper()
	var p lorawan.PHYPayload
	n.b.must(p.UnmarshalBinary(slices.Clone(phy)))
	n.b.must(p.DecryptJoinAcceptPayload(lorawan.AES128Key(n.appKey)))
	ok, err := p.ValidateDownlinkJoinMIC(lorawan.JoinRequestType, lorawan.EUI64{}, 0, lorawan.AES128Key(n.appKey))
	n.b.must(err)
	if !ok {
		n.b.Fatal("MIC of the join-accept is wrong")
	}
	a := p.MACPayload.(*lorawan.JoinAcceptPayload)
	n.addr, n.up = DevAddr(a.DevAddr), 0
	n.nwk, n.ses = sessionKeys(n.appKey, uint32(a.JoinNonce), [3]byte(a.HomeNetID), n.nonce-1)
	return a
}
