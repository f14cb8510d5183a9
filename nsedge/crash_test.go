package nsedge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/brocaar/lorawan"

	"gatewayd/nsedge/store"
	"gatewayd/nsedge/store/powercut"
	"gatewayd/radio"
)

// A world in which the gateway dies again and again, killed or by a power
// cut, at any write, while its devices, and somebody who replays what they
// sent, go on.
type world struct {
	*bench
	rng   *rand.Rand
	root  string
	nodes []*survivor

	// The present life. What happens after the event at which it ends has
	// not happened.
	life   int
	disk   *powercut.Disk
	ends   int  // number of events that still happened
	opened int  // number of events when the store was open
	killed bool // so the life before ended
	store  *store.Store
	asked  []PacketHash // open downlink_requests

	mu        sync.Mutex
	delivered map[string]time.Time      // frame to time, of lives that could remember it
	lately    map[string]time.Time      // of the present life
	used      map[string]int            // downlink counter of a session to life
	useOf     map[uint64]string         // the counter of a downlink, by its ID
	onAir     []radio.Downlink          // in the present step
	faults    []string                  // found by callbacks
	sent      []replayable              // what devices sent
	sessions  map[DevAddr][]sessionSeen // of all times, to tell whose a frame is
}

// survivor is a device that outlives the gateway.
type survivor struct {
	*node
	otaa       bool
	joined     bool            // has a session
	proven     bool            // and an uplink of it was delivered
	joinNonces map[uint32]bool // all that were on the air
}

type sessionSeen struct {
	name string
	n    *survivor
	key  Key // that signs downlinks
}

// signed tells whether a downlink is of the session.
func (s *sessionSeen) signed(p *lorawan.PHYPayload) bool {
	if s.n.v11 == nil {
		good, _ := p.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_0, 0, lorawan.AES128Key(s.key))
		return good
	}
	for acked := range uint32(256) { // any uplink, as it may be a replayed one
		if good, _ := p.ValidateDownlinkDataMIC(lorawan.LoRaWAN1_1, acked, lorawan.AES128Key(s.key)); good {
			return true
		}
	}
	return false
}

// replayable is a frame that somebody recorded.
type replayable struct {
	n        *survivor
	phy      []byte
	join     bool
	accepted bool // a join-accept for it was on the air
}

const crashNodes = 6 // the last two are of LoRaWAN 1.1

func newWorld(b *bench, root string, seed uint64) *world {
	w := &world{
		bench: b, rng: rand.New(rand.NewPCG(seed, 2)), root: root,
		delivered: map[string]time.Time{}, used: map[string]int{}, useOf: map[uint64]string{}, sessions: map[DevAddr][]sessionSeen{},
	}
	for i := range crashNodes {
		n := &survivor{node: newNode(b, byte(i+1)), joinNonces: map[uint32]bool{}}
		if i >= 4 {
			n.node = newNode11(b, byte(i+1))
		}
		if n.otaa = i%2 == 0; !n.otaa {
			n.joined = true
			w.began(n)
		}
		w.nodes = append(w.nodes, n)
	}
	return w
}

// began notes a device's session.
func (w *world) began(n *survivor) {
	key := n.nwk
	if n.v11 != nil {
		key = n.v11.sInt
	}
	s := w.sessions[n.addr]
	w.sessions[n.addr] = append(s, sessionSeen{fmt.Sprintf("%v %v", n.eui, len(n.joinNonces)), n, key})
}

// alive tells whether the present moment still happens.
func (w *world) alive() bool { return w.disk.Events() <= w.ends }

// air is the world's antenna: frames that are scheduled by a dead gateway do
// not go out.
type mortalAir struct {
	*fakeAir
	w *world
}

func (a mortalAir) Schedule(ctx context.Context, d radio.Downlink) error {
	err := a.fakeAir.Schedule(ctx, d)
	if err == nil && a.w.alive() {
		a.w.scheduled(d)
	}
	return err
}

// scheduled checks a frame's counter.
func (w *world) scheduled(d radio.Downlink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d.Replaces != 0 { // that one never was on the air
		w.onAir = slices.DeleteFunc(w.onAir, func(o radio.Downlink) bool { return o.ID == d.Replaces })
		delete(w.used, w.useOf[d.Replaces])
	}
	w.onAir = append(w.onAir, d)
	var p lorawan.PHYPayload
	if err := p.UnmarshalBinary(slices.Clone(d.Payload)); err != nil {
		w.faults = append(w.faults, err.Error())
		return
	}
	m, ok := p.MACPayload.(*lorawan.MACPayload)
	if !ok {
		return // a join-accept, see joins
	}
	for _, s := range w.sessions[DevAddr(m.FHDR.DevAddr)] {
		if !s.signed(&p) {
			continue
		}
		use := fmt.Sprintf("FCntDown %d of session %s", m.FHDR.FCnt, s.name)
		if s.n.v11 != nil && m.FPort != nil && *m.FPort > 0 {
			use = fmt.Sprintf("AFCntDown %d of session %s", m.FHDR.FCnt, s.name)
		}
		if life, again := w.used[use]; again {
			w.faults = append(w.faults, fmt.Sprintf("%s was used in life %d and again in life %d", use, life, w.life))
		}
		w.used[use] = w.life
		w.useOf[d.ID] = use
		return
	}
	w.faults = append(w.faults, fmt.Sprintf("a frame to %v of no known session", m.FHDR.DevAddr))
}

// published checks that no uplink comes twice.
func (w *world) published(ev Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.alive() {
		return
	}
	switch ev := ev.(type) {
	case *DownlinkRequest:
		w.asked = append(w.asked, ev.PacketHash)
	case *UplinkEvent:
		if ev.Duplicate {
			return
		}
		frame := string(ev.Payload) // every one is another, see uplink
		if _, again := w.delivered[frame]; again {
			w.faults = append(w.faults, fmt.Sprintf("uplink %s of %v, counter %d, was delivered twice", frame, ev.Device, ev.Counter))
		}
		if _, again := w.lately[frame]; again {
			w.faults = append(w.faults, fmt.Sprintf("uplink %s was delivered twice in one life", frame))
		}
		w.lately[frame] = time.Now()
	}
}

// live runs the gateway on a directory until something kills it.
func (w *world) live(dir string) {
	w.Helper()
	var err error
	if w.disk == nil {
		w.disk, err = powercut.New(dir)
		w.must(err)
	}
	slow := time.Duration(w.rng.IntN(3)) * 90 * time.Millisecond
	w.disk.SyncTime = func() time.Duration { return slow }
	w.store, err = store.Open(dir, store.Options{JournalSize: 4096, Disk: w.disk})
	w.must(err)
	w.ends, w.opened = 1<<30, w.disk.Events()
	w.air, w.lately, w.asked = newAir(), map[string]time.Time{}, nil
	w.edge, err = New(testConfig(w, w.store), mortalAir{w.air, w}, w.published)
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.edge.Run(ctx) }()

	if w.life == 0 {
		for _, n := range w.nodes {
			switch {
			case n.v11 != nil && n.otaa:
				w.register(n.otaa11())
			case n.v11 != nil:
				w.register(n.abp11())
			case n.otaa:
				w.register(n.node.otaa(KeysAtNS))
			default:
				w.register(n.abp())
			}
		}
	}
	w.ends = w.disk.Events() + w.rng.IntN(40)
	if w.life > 0 && w.rng.IntN(8) == 0 { // already while it started
		w.ends = w.disk.Start() + w.rng.IntN(w.disk.Events()-w.disk.Start()+1)
	}
	for range 1 + w.rng.IntN(12) {
		if !w.alive() {
			break
		}
		w.step()
	}
	w.ends = min(w.ends, w.disk.Events())
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		w.Errorf("Run returned %v", err)
	}
	w.must(w.store.Close())
}

// die makes the directory in which the next life begins, and keeps account
// of what that life has to know.
func (w *world) die(to string) {
	w.Helper()
	// What a killed process had not synced is in danger until the next one
	// has started; "the last second" is only promised if there is no kill
	// right before.
	cut := w.rng.IntN(2) == 0 && (!w.killed || w.ends >= w.opened)
	end := w.disk.Moment(w.ends)
	for frame, at := range w.lately {
		if cut && end.Sub(at) <= time.Second {
			continue // may be lost, and come again
		}
		w.delivered[frame] = at
	}
	if cut {
		w.must(w.disk.Cut(w.ends, w.rng, to))
		w.disk = nil
	} else {
		next, err := w.disk.Kill(w.ends, to)
		w.must(err)
		w.disk = next
	}
	w.killed = !cut
	w.life++
	time.Sleep(10*time.Minute + time.Duration(w.rng.IntN(10_000))*time.Millisecond) // each death costs some of the hour's duty cycle
}

// step is something that happens in the world.
func (w *world) step() {
	w.onAir = nil
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	switch what := w.rng.IntN(10); {
	case what < 2 && len(w.sent) > 0:
		w.replay()
	case n.otaa && (!n.joined || n.proven && (what < 4 || n.v11 != nil && what < 8)):
		w.join(n)
	default:
		w.uplink(n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		w.Errorf("life %d: %s", w.life, f)
	}
	w.faults = nil
}

// uplink sends a frame, which must be delivered, and perhaps answers it.
func (w *world) uplink(n *survivor) {
	if !n.joined {
		return
	}
	payload := fmt.Sprintf("%v in life %d, frame %d", n.eui, w.life, len(w.sent))
	f := frame{payload: []byte(payload), confirmed: w.rng.IntN(2) == 0}
	phy := n.encode(f)
	w.sent = append(w.sent, replayable{n: n, phy: phy})
	n.hear(phy)
	if !w.alive() {
		return
	}
	w.mu.Lock()
	_, ok := w.lately[payload]
	w.mu.Unlock()
	if !ok {
		w.Errorf("life %d: uplink %q, counter %d, was not delivered: the session is lost", w.life, payload, n.up-1)
	}
	n.proven = true
	if w.rng.IntN(2) == 0 && len(w.asked) > 0 {
		a := DownlinkResponse{PacketHash: w.asked[len(w.asked)-1], Payload: []byte("answer")}
		var refused *Refusal
		if err := w.edge.Answer(w.Context(), a); err != nil && !errors.As(err, &refused) {
			w.Error(err)
		}
	}
	// Until before, between or after the windows, and before or after a
	// background sync.
	time.Sleep(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
	synctest.Wait()
}

// join lets a device join. It has a new session if it heard an accept.
func (w *world) join(n *survivor) {
	kind, nonce := lorawan.JoinRequestType, n.nonce
	var phy []byte
	if n.v11 != nil && n.joined && w.rng.IntN(3) > 0 {
		kind = lorawan.JoinType(w.rng.IntN(3))
		phy, nonce = n.rejoinRequest(kind)
	} else {
		phy = n.joinRequest()
	}
	n.hear(phy)
	time.Sleep(7 * time.Second)
	synctest.Wait()
	accepts := w.accepts()
	w.sent = append(w.sent, replayable{n: n, phy: phy, join: true, accepted: len(accepts) > 0})
	switch {
	case len(accepts) > 0:
		a := n.acceptOf(accepts[0], kind, nonce)
		nonce := uint32(a.JoinNonce)
		if n.joinNonces[nonce] || nonce == 0 {
			w.Errorf("life %d: JoinNonce %d of %v was used before", w.life, nonce, n.eui)
		}
		n.joinNonces[nonce] = true
		n.joined, n.proven = true, false
		w.began(n)
	case w.alive():
		w.Errorf("life %d: %v could not join (type %#02x) with DevNonce or RJcount %d", w.life, n.eui, kind, nonce)
	}
}

// accepts are the join-accepts of this step that were on the air.
func (w *world) accepts() (out [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.onAir {
		if lorawan.MType(d.Payload[0]>>5) == lorawan.JoinAccept {
			out = append(out, d.Payload)
		}
	}
	return out
}

// replay plays back a recorded frame.
func (w *world) replay() {
	r := w.sent[len(w.sent)-1-w.rng.IntN(min(len(w.sent), 10))]
	if joins := slices.DeleteFunc(slices.Clone(w.sent), func(s replayable) bool { return !s.accepted }); len(joins) > 0 && w.rng.IntN(2) == 0 {
		r = joins[len(joins)-1]
	}
	if r.join && !r.accepted {
		return // an attacker may finish that join, and the device loses its session
	}
	r.n.hear(r.phy)
	if !r.join {
		return
	}
	time.Sleep(7 * time.Second)
	synctest.Wait()
	if len(w.accepts()) > 0 {
		w.Errorf("life %d: a replayed join-request or rejoin-request of %v was accepted: its DevNonce or RJcount was used twice", w.life, r.n.eui)
	}
}

// 1000 deaths, half of them kills: no downlink counter of either kind, DevNonce, RJcount or JoinNonce is used again, no
// session is lost, and no uplink is delivered twice, but for those of the
// last second before a power cut.
func TestADyingGatewayReusesNoCounterAndDeliversNothingTwice(t *testing.T) {
	const worlds, lives = 100, 10
	root := powercut.TempDir(t)
	for i := range uint64(worlds) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&bench{T: t}, filepath.Join(root, fmt.Sprint(i)), i)
			for life := range lives {
				w.live(filepath.Join(w.root, fmt.Sprint(life)))
				w.die(filepath.Join(w.root, fmt.Sprint(life+1)))
			}
			if t.Failed() {
				t.Logf("this was world %d", i)
			}
		})
		if t.Failed() {
			return
		}
	}
}
