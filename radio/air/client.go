package air

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"

	"gatewayd/radio"
)

// client is one connection of the air protocol: a station.
type client struct {
	m    *Medium
	out  chan []byte
	fail func(error) // ends the connection

	mu      sync.Mutex             // also keeps the answers to one request in order
	station *Station               // nil until needed
	txs     map[string]uint64      // transmissions that have not ended, by id as sent
	rxs     map[string]func() bool // how to cancel open windows, by id as sent
	monitor func()                 // stops it; nil if off
	wake    *event                 // of an idle client; nil if it waits for others only
}

// Answers, in the order in which their fields are sent.
type (
	failure struct {
		Op      string          `json:"op"`
		Ref     json.RawMessage `json:"ref"`
		Message string          `json:"message"`
	}
	welcome struct {
		Op       string        `json:"op"`
		Version  int           `json:"version"`
		Now      radio.Instant `json:"now_us"`
		Gateways []radio.EUI64 `json:"gateways"`
	}
	nowIs struct {
		Op  string        `json:"op"`
		Now radio.Instant `json:"now_us"`
	}
	started struct {
		Op    string          `json:"op"`
		ID    json.RawMessage `json:"id"`
		Start radio.Instant   `json:"start_us"`
		End   radio.Instant   `json:"end_us"`
	}
	about struct {
		Op string          `json:"op"`
		ID json.RawMessage `json:"id"`
	}
	heard struct {
		Op string          `json:"op"`
		ID json.RawMessage `json:"id"`
		wireFrame
		Start radio.Instant `json:"start_us"`
		End   radio.Instant `json:"end_us"`
		RSSI  float64       `json:"rssi_dbm"`
		SNR   float64       `json:"snr_db"`
	}
	onAir struct {
		Op   string `json:"op"`
		From string `json:"from"`
		wireFrame
		Start radio.Instant `json:"start_us"`
		End   radio.Instant `json:"end_us"`
		Power float64       `json:"power_dbm"`
	}
)

// encode makes a line. The answers are plain values that always marshal.
func encode(answer any) []byte {
	line, err := json.Marshal(answer)
	if err != nil {
		line = fmt.Appendf(nil, `{"op":"error","ref":null,"message":%q}`, err)
	}
	return append(line, '\n')
}

// say queues an answer; a client that doesn't read is thrown out.
func (c *client) say(answer any) {
	select {
	case c.out <- encode(answer):
	default:
		c.fail(errSlow)
	}
}

// handle answers one line.
func (c *client) handle(line []byte) {
	r, err := parse(line)
	if err == nil {
		err = c.do(r)
	}
	if err != nil {
		c.say(failure{"error", r.id, err.Error()})
	}
}

// do carries out a request. An error means that nothing has changed.
func (c *client) do(r request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.op {
	case "hello":
		return c.hello(r)
	case "time":
		c.say(nowIs{"time", c.m.Now()})
		return nil
	case "tx":
		return c.tx(r)
	case "rx":
		return c.rx(r)
	case "cancel":
		return c.cancel(r)
	case "monitor":
		return c.watch(r)
	case "idle":
		return c.idle(r)
	}
	return fmt.Errorf("op is %q: %s is wanted", r.op, ops)
}

func (c *client) hello(r request) error {
	cfg, err := r.station()
	if err != nil {
		return err
	}
	if c.station != nil {
		return fmt.Errorf("hello: this connection is station %q already: say hello once and first, or open another connection", c.station.Name())
	}
	if c.station, err = c.m.Join(cfg, nil); err != nil {
		return err
	}
	gateways := c.m.Gateways()
	if gateways == nil {
		gateways = []radio.EUI64{}
	}
	c.say(welcome{"welcome", 1, c.m.Now(), gateways})
	return nil
}

// ready makes a station with the defaults for a client that said no hello,
// and returns what takes it away again if the request fails after all.
func (c *client) ready(err *error) (undo func()) {
	if c.station != nil {
		return func() {}
	}
	c.station, *err = c.m.Join(StationConfig{}, nil)
	return func() {
		if *err != nil && c.station != nil {
			c.station.Leave()
			c.station = nil
		}
	}
}

func (c *client) tx(r request) (err error) {
	f, err := r.frame()
	if err != nil {
		return err
	}
	at, err := r.instant("at_us", Immediately)
	if err != nil {
		return err
	}
	power, err := r.number("power_dbm", -100, 40)
	if err != nil {
		return err
	}
	key, err := r.need(c)
	if err != nil {
		return err
	}
	if _, busy := c.txs[key]; busy {
		return fmt.Errorf("id is %s: a tx with that id has not ended yet; take another one", key)
	}
	defer c.ready(&err)()
	if err != nil {
		return err
	}
	t, err := c.station.transmit(f, at, radio.DBm(power), func(Transmission) {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.txs, key)
		c.say(about{"tx_done", r.id})
	})
	if errors.Is(err, ErrPast) {
		return fmt.Errorf("at_us is %d: it is in the past, now_us is %d; ask for a later start, or leave at_us out to start now", at, c.m.Now())
	}
	if err != nil {
		return err
	}
	c.txs[key] = t.ID
	c.say(started{"tx_started", r.id, t.Start, t.End})
	return nil
}

func (c *client) rx(r request) (err error) {
	w, err := r.window(c.m.Now())
	if err != nil {
		return err
	}
	key, err := r.need(c)
	if err != nil {
		return err
	}
	if _, busy := c.rxs[key]; busy {
		return fmt.Errorf("id is %s: an rx with that id is open; take another one, or cancel it", key)
	}
	defer c.ready(&err)()
	if err != nil {
		return err
	}
	cancel, err := c.station.open(w, func(got Reception, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.rxs, key)
		if err != nil {
			c.say(about{"rx_timeout", r.id})
			return
		}
		c.say(heard{"rx_frame", r.id, wire(got.Frame), got.Start, got.End, cents(float64(got.RSSI)), cents(float64(got.SNR))})
	})
	if err != nil {
		return err
	}
	c.rxs[key] = cancel
	return nil
}

// cancel takes away the rx and the unstarted tx of that id.
func (c *client) cancel(r request) error {
	key, err := r.key()
	if err != nil {
		return err
	}
	id, sending := c.txs[key]
	cancelled := sending && c.station.abort(id, false)
	if cancelled {
		delete(c.txs, key)
	}
	if shut, open := c.rxs[key]; open && shut() {
		delete(c.rxs, key)
		cancelled = true
	}
	switch {
	case cancelled:
		c.say(about{"cancelled", r.id})
		return nil
	case sending:
		return fmt.Errorf("id is %s: that tx has started and can't be cancelled", key)
	}
	return fmt.Errorf("id is %s: no rx is open and no tx is planned with that id", key)
}

func (c *client) watch(r request) error {
	on, err := r.boolean("on", true)
	if err != nil {
		return err
	}
	if c.monitor != nil {
		c.monitor()
		c.monitor = nil
	}
	if on {
		c.monitor = c.m.Observe(func(t Transmission) {
			c.say(onAir{"on_air", t.From, wire(t.Frame), t.Start, t.End, cents(float64(t.Power))})
		})
	}
	return nil
}

// leave takes the client out of the medium.
func (c *client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.monitor != nil {
		c.monitor()
	}
	c.awaken()
	for _, shut := range c.rxs {
		shut()
	}
	if c.station != nil {
		c.station.Leave()
	}
}

// cents rounds to hundredths.
func cents(x float64) float64 { return math.Round(x*100) / 100 }
