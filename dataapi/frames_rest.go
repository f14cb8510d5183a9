package dataapi

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatewayd/radio"
)

// Frame is a frame as the radio heard it, whosever it is: also of other
// networks, and damaged ones.
type Frame struct {
	Number  uint64  `json:"number"`  // counts up; what is missing was dropped
	Time    float64 `json:"time"`    // unix seconds, the end of the frame
	Counter int64   `json:"counter"` // the same on the concentrator's counter, µs
	Airtime float64 `json:"airtime"` // seconds
	Freq    float64 `json:"freq"`    // MHz
	Rate    string  `json:"datr"`    // such as SF7BW125
	Channel int     `json:"channel"`
	Chain   int     `json:"chain"`
	CRC     int64   `json:"status"` // 1 good, -1 bad, 0 none
	RSSI    float64 `json:"rssi"`   // dBm
	SNR     float64 `json:"snr"`    // dB
	Size    int     `json:"size"`   // bytes
	Payload string  `json:"payload"`

	// What can be read of a good frame without keys.
	Type       string  `json:"type"` // MType, such as join_request; "" if damaged
	DeviceAddr *string `json:"device_addr"`
	Device     *string `json:"device"` // of a join-request
	Counter16  *int    `json:"fcnt"`   // as it stands in the frame
	Port       *int    `json:"port"`
}

// mostWatchers may watch the air at the same time; each may be that many
// frames behind before it misses some.
const (
	mostWatchers = 16
	watcherQueue = 256
)

// watchers watch the air.
type watchers struct {
	count atomic.Int32 // of all: nobody watching costs nothing
	last  atomic.Uint64

	mu  sync.Mutex
	all []chan Frame
}

// Heard tells of a frame that the radio heard. It never blocks.
func (s *Server) Heard(u radio.Uplink) {
	n := s.watchers.last.Add(1)
	if s.watchers.count.Load() == 0 {
		return
	}
	f := viewFrame(n, &u)
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	for _, w := range s.watchers.all {
		select {
		case w <- f:
		default: // the number tells
		}
	}
}

// watch takes a place; leave gives it back.
func (w *watchers) watch() (frames <-chan Frame, leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) >= mostWatchers {
		return nil, nil, &problem{http.StatusServiceUnavailable, codeTooMany, "", fmt.Sprintf("%d clients watch the air already, which is all that may", mostWatchers)}
	}
	c := make(chan Frame, watcherQueue)
	w.all = append(w.all, c)
	w.count.Add(1)
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = slices.DeleteFunc(w.all, func(other chan Frame) bool { return other == c })
		w.count.Add(-1)
	}, nil
}

// mtypes are the LoRaWAN message types.
var mtypes = [...]string{"join_request", "join_accept", "unconfirmed_up", "unconfirmed_down", "confirmed_up", "confirmed_down", "rejoin_request", "proprietary"}

func viewFrame(n uint64, u *radio.Uplink) Frame {
	f := Frame{
		Number: n, Time: float64(u.Time.UnixMicro()) / 1e6, Counter: int64(u.At), Freq: u.Freq.MHz(), Rate: shortDataRate(u.Mod), Channel: u.IFChain, Chain: u.RFChain,
		RSSI: float64(u.RSSI), SNR: float64(u.SNR), Size: len(u.Payload), Payload: base64.StdEncoding.EncodeToString(u.Payload),
		CRC: crcStatus(u.CRC),
	}
	if u.Time.IsZero() {
		f.Time = float64(time.Now().UnixMicro()) / 1e6
	}
	if u.Mod != nil {
		f.Airtime = u.Mod.Airtime(len(u.Payload)).Seconds()
	}
	if f.CRC == 1 && len(u.Payload) > 0 {
		f.read(u.Payload)
	}
	return f
}

// read takes what stands in the clear (LoRaWAN 1.0.4, chapter 4 and 6).
func (f *Frame) read(b []byte) {
	f.Type = mtypes[b[0]>>5]
	switch {
	case f.Type == "join_request" && len(b) == 23:
		f.Device = new(reversed(b[9:17]))
	case b[0]>>5 >= 2 && b[0]>>5 <= 5 && len(b) >= 12:
		f.DeviceAddr = new(reversed(b[1:5]))
		f.Counter16 = new(int(b[6]) | int(b[7])<<8)
		if at := 8 + int(b[5]&15); at < len(b)-4 {
			f.Port = new(int(b[at]))
		}
	}
}

// reversed is hex, most significant byte first.
func reversed(b []byte) string {
	b = slices.Clone(b)
	slices.Reverse(b)
	return hex.EncodeToString(b)
}

// watchFrames streams what is heard, as server-sent events.
func (s *Server) watchFrames(c *call) (reply, error) {
	frames, leave, err := s.watchers.watch()
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, events{func(send func(name string, v any) error) {
		defer leave()
		quiet := time.NewTicker(s.cfg.PongInterval)
		defer quiet.Stop()
		for {
			var err error
			select {
			case f := <-frames:
				err = send("frame", f)
			case <-quiet.C:
				err = send("", nil)
			case <-c.Context().Done():
				return
			case <-s.ending:
				return
			}
			if err != nil {
				return
			}
		}
	}, s.cfg.WriteTimeout}}, nil
}

// events is a body of server-sent events that lasts.
type events struct {
	run     func(send func(name string, v any) error)
	timeout time.Duration // for one event
}

// serve writes events until there are no more. One without a name is a comment
// that keeps proxies awake.
func (e events) serve(w http.ResponseWriter, status int) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // it lasts; where that can't be set, it isn't limited
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(status)
	_ = control.Flush() // the first write tells
	e.run(func(name string, v any) error {
		_ = control.SetWriteDeadline(time.Now().Add(e.timeout))
		text := ":\n\n"
		if name != "" {
			data, err := json.Marshal(v)
			if err != nil {
				return err
			}
			text = "event: " + name + "\ndata: " + string(data) + "\n\n"
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return control.Flush()
	})
}
