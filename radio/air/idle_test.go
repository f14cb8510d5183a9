package air_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatewayd/radio/air"
)

// An idle client is told the time when it wants, and a new idle takes the
// place of the one before.
func TestAnIdleClientIsWoken(t *testing.T) {
	served(t, func(_ *sky, dial func() *script) {
		c := dial()
		c.say(`{"op":"idle","until_us":5000000}`)
		c.want(`{"op":"time","now_us":5000000}`)
		c.say(`{"op":"idle","until_us":6000000}`)
		c.say(`{"op":"idle","until_us":9000000}`)
		c.want(`{"op":"time","now_us":9000000}`)
		c.say(`{"op":"idle","until_us":8000000}`) // over: at once
		c.want(`{"op":"time","now_us":9000000}`)
		c.say(`{"op":"idle","until_us":9500000}`)
		c.say(`{"op":"idle"}`)
		sleep(time.Hour)
		c.say(`{"op":"time"}`)
		c.want(`{"op":"time","now_us":3609000000}`)
	})
}

// counting is a client of the air that counts the lines it was sent.
type counting struct {
	script
	seen int
}

func (c *counting) line() string { c.seen++; return c.script.line() }

func (c *counting) idle(until string) {
	c.say(`{"op":"idle","seen":%d%s}`, c.seen, until)
}

// dialed is a connection over a real socket, with its two ends.
func dialed(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// A program outside of the bubble lives through an hour of it: the clock
// waits for it, and for nothing else.
func TestAClientOutsideKeepsUpWithVirtualTime(t *testing.T) {
	server, conn := dialed(t)
	var outside sync.WaitGroup
	outside.Go(func() {
		defer conn.Close()
		c := &counting{script: script{t: t, conn: conn, r: bufio.NewReader(conn)}}
		next := func(want string) {
			t.Helper()
			if got := c.line(); !strings.HasPrefix(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		c.say(`{"op":"hello","name":"outside"}`)
		next(`{"op":"welcome","version":1,"now_us":0`)
		c.idle(`,"until_us":1800000000`)
		next(`{"op":"time","now_us":1800000000}`)
		c.say(`{"op":"tx","id":1,%s,"power_dbm":14}`, uplink)
		c.idle("") // before tx_started was read: not idle in truth
		next(`{"op":"tx_started","id":1,"start_us":1800000000`)
		c.idle("")
		next(`{"op":"tx_done","id":1}`)
		c.idle(`,"until_us":3600000000`)
		next(`{"op":"time","now_us":3600000000}`)
	})
	synctest.Test(t, func(t *testing.T) {
		m := air.New(air.Config{})
		defer m.Close()
		air.ServeClient(t.Context(), air.Lockstep(server), m, nil) // until the client hangs up
		if now := m.Now(); now != 3_600_000_000 {
			t.Errorf("the client hung up at %d µs", now)
		}
	})
	outside.Wait()
}

// Whoever serves a client may end that while the client is idle.
func TestAnIdleClientOutsideCanBeCutOff(t *testing.T) {
	server, conn := dialed(t)
	defer conn.Close()
	var outside sync.WaitGroup
	outside.Go(func() {
		c := &counting{script: script{t: t, conn: conn, r: bufio.NewReader(conn)}}
		c.idle("")
		if _, err := c.r.ReadByte(); err == nil {
			t.Error("the connection is still open")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := air.New(air.Config{})
		defer m.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		air.ServeClient(ctx, air.Lockstep(server), m, nil)
		if now := m.Now(); now != 60_000_000 {
			t.Errorf("cut off at %d µs", now)
		}
	})
	outside.Wait()
}
