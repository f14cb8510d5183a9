package flight

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"gatewayd/nsedge"
	"gatewayd/radio"
)

// Kinds of entries in memory. Names of those in a file are in file.go.
const (
	kindSPI byte = iota + 1
	kindFailed
	kindReset
	kindHold
	kindHeard
	kindEvent
	kindMessage
	kindRequest
	kindFault
)

// Header is what a recording says of itself.
type Header struct {
	Version int       `json:"version"`
	Program string    `json:"gatewayd"`
	Gateway string    `json:"gateway,omitempty"` // its EUI
	Board   string    `json:"board"`
	Region  string    `json:"region"`
	Radios  [2]string `json:"radios"` // SX1250, SX1255 or SX1257; "" is none
	Began   time.Time `json:"began"`  // when the clock of all entries was 0
	Reason  string    `json:"reason"` // why it was written
}

// Config of a Recorder.
type Config struct {
	Size    int           // bytes of memory; the start of the chip comes on top
	Header  Header        // of its files; Version, Began and Reason are filled in
	Gateway func() string // its EUI, as soon as it is known; nil: nobody knows
}

// Recorder keeps the last moments of a gateway. Its methods may be called from
// any goroutine; those of a nil Recorder do nothing.
type Recorder struct {
	cfg   Config
	began time.Time
	clock func() int64
	bus   *bus

	mu    sync.Mutex
	story *tape // all but the bus
}

// storyShare is the part of the memory that is not the bus's.
const storyShare = 4

// New makes a recorder; nil, which is one that is off, for no memory.
func New(cfg Config) *Recorder {
	if cfg.Size <= 0 {
		return nil
	}
	now := time.Now()
	r := &Recorder{cfg: cfg, began: now, clock: since(now), story: newTape(cfg.Size/storyShare, nil)}
	r.bus = newBus(cfg.Size-cfg.Size/storyShare, r.clock)
	return r
}

// note records something as JSON; a value that has none is a mistake of ours,
// and is recorded as such.
func (r *Recorder) note(kind byte, v any) {
	if r == nil {
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		text, _ = json.Marshal(map[string]string{"error": err.Error()}) // always possible
	}
	r.keep(kind, text)
}

func (r *Recorder) keep(kind byte, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.story.add(kind, r.clock(), text, nil)
}

// heard is a frame as the driver gave it.
type heard struct {
	radio.Uplink
	Modulation string
	Payload    hexBytes
}

// Heard records a frame that was received, whosever it is.
func (r *Recorder) Heard(u radio.Uplink) {
	r.note(kindHeard, heard{u, strings.TrimPrefix(fmt.Sprintf("%T", u.Mod), "radio."), u.Payload})
}

// event is a decision of the network server.
type event struct {
	Event string       `json:"event"`
	About nsedge.Event `json:"about"`
}

// Event records what the network server did: windows, downlinks with their
// timing, notices. Events have no keys.
func (r *Recorder) Event(e nsedge.Event) {
	r.note(kindEvent, event{strings.TrimPrefix(fmt.Sprintf("%T", e), "*nsedge."), e})
}

// Message records a message of the Data API: from an application ("in") or to
// those that want it ("out"), without secrets.
func (r *Recorder) Message(way, who string, text []byte) {
	if r != nil {
		r.note(kindMessage, message{way, who, withoutSecrets(text)})
	}
}

type message struct {
	Way  string          `json:"way"`
	Who  string          `json:"who,omitempty"` // the key's ID
	Text json.RawMessage `json:"message"`
}

// Request records a request to the Management API: neither query nor body,
// which may hold secrets.
func (r *Recorder) Request(method, path, key string, status int) {
	r.note(kindRequest, request{method, path, key, status})
}

type request struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Key    string `json:"key,omitempty"` // its ID
	Status int    `json:"status"`
}

// Fault records that something went wrong.
func (r *Recorder) Fault(what string) {
	r.note(kindFault, map[string]string{"fault": what})
}
