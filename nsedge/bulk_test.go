package nsedge

import (
	"bytes"
	"testing"

	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
	"gatewayd/radio"
)

func edgeOn(t testing.TB, st *store.Store) *Edge {
	t.Helper()
	reg, err := region.Lookup("EU868")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Region: reg, Store: st}, &noRadio{}, func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

type noRadio struct{ Air }

func openStore(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// A device that joined goes on at another gateway: no downlink counter, no
// DevNonce and no JoinNonce is used again, also after a restart there.
func TestAJoinedSessionMovesToAnotherGateway(t *testing.T) {
	from, key, eui := openStore(t), &Key{1, 2, 3}, radio.EUI64{7, 8}
	if err := edgeOn(t, from).CreateDevice(t.Context(), Device{DevEUI: eui, Activation: OTAA, AppKey: key}); err != nil {
		t.Fatal(err)
	}
	s := joined{gen: joinGen(3), addr: DevAddr{1, 2, 3, 4}, keys: keys{nwkSKey: Key{9}, sIntKey: Key{9}, encKey: Key{9}, appSKey: Key{8}, hasApp: true}, rxDelay: 5, rx2DR: -1, at: 1e9}
	j := joinState{joins: 3, nonce: 41, standing: standing{sessions: []joined{s}}, nonces: nonces{}.add(5).add(6).add(900)}
	c := counters{up: 70001, mark: 64, last: [micSize]byte{1}, seen: 1e9}
	if err := from.Put(bucketJoins, eui[:], j.encode()); err != nil {
		t.Fatal(err)
	}
	if err := from.Append(eui, c.appendState(nil, s.gen)); err != nil {
		t.Fatal(err)
	}
	source := edgeOn(t, from)
	source.byEUI[eui].active.down = 30 // of 64 that are reserved
	var moving Exported
	if err := source.Export(t.Context(), func(x Exported) bool { moving = x; return true }); err != nil {
		t.Fatal(err)
	}
	if moving.CounterDown != 64 {
		t.Errorf("downlink counter %d is exported, values below 64 may be on the air", moving.CounterDown)
	}
	to := openStore(t)
	target := edgeOn(t, to)
	out, applied, err := target.ChangeDevices(t.Context(), []Change{{DevEUI: eui, State: moving.State, Edit: func(d *Device, _ bool) error { *d = moving.Device.clone(); return nil }}}, BulkOptions{})
	if err != nil || !applied {
		t.Fatal(out, err)
	}
	for name, e := range map[string]*Edge{"at once": target, "after a restart": edgeOn(t, to)} {
		got := e.byEUI[eui].active
		if got == nil || got.addr != s.addr || got.nwkSKey != s.nwkSKey || got.up != 70001 || got.down != 64 || got.gen != s.gen || e.delayOf(got) != 5 || e.byAddr[s.addr] != got {
			t.Errorf("%s: %+v", name, got)
		}
	}
	raw, err := to.Get(bucketJoins, eui[:])
	if err != nil || !bytes.Equal(raw, j.encode()) {
		t.Errorf("nonces and sessions are not those of the source: %v", err)
	}
}

func FuzzDecodeMoved(f *testing.F) {
	e := edgeOn(f, openStore(f))
	f.Add((&moved{}).encode())
	f.Add((&moved{gen: 3, counters: (&counters{up: 5}).appendState(nil, 3), radio: []byte(`{"v":1,"gen":3,"set":{"rx2":-1,"dr":-1}}`)}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := e.decodeMoved(b)
		if (m == nil) == (err == nil) {
			t.Fatal(m, err)
		}
		if m != nil {
			d := &device{spec: &Device{Version: defaultVersion}}
			d.install(m.joins)
			m.give(d)
		}
	})
}
