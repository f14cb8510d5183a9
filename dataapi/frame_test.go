package dataapi

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // of the handshake
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// gorilla's client is the judge of our frames, at each border of their length.
func TestFramesOfEachLengthAreRead(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		here, there := net.Pipe()
		go func() {
			req, err := http.ReadRequest(bufio.NewReader(there))
			if err != nil {
				t.Error(err)
				return
			}
			var b bytes.Buffer
			fmt.Fprintf(&b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
				acceptOf(req.Header.Get("Sec-WebSocket-Key")))
			b.Write(newFrame(websocket.PongMessage, []byte("p")).wire)
			b.Write(textFrame(bytes.Repeat([]byte("x"), n)).wire)
			b.Write(textFrame([]byte("end")).wire)
			_, _ = there.Write(b.Bytes())
		}()
		d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return here, nil }}
		c, _, err := d.Dial("ws://gw/", nil) //nolint:bodyclose // Dial closes it
		if err != nil {
			t.Fatal(err)
		}
		kind, text, err := c.ReadMessage()
		if err != nil || kind != websocket.TextMessage || string(text) != strings.Repeat("x", n) {
			t.Errorf("%d bytes: type %d, %d bytes, %v", n, kind, len(text), err)
		}
		if _, text, err = c.ReadMessage(); string(text) != "end" {
			t.Errorf("after %d bytes: %q %v", n, text, err)
		}
		c.Close()
		there.Close()
	}
}

// acceptOf is the answer to a handshake's key (RFC 6455 §4.2.2).
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // the RFC says so
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestWhatWaitsIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		const n = 100
		for range n { // nobody reads: the first one is being written, the others wait
			r.Publish(realEvent())
			synctest.Wait()
		}
		synctest.Wait()
		r.mu.RLock()
		var sub *subscriber
		for sub = range r.subscribers {
		}
		waiting := len(sub.queue)
		r.mu.RUnlock()
		if waiting != n-1 {
			t.Errorf("%d messages wait", waiting)
		}
		r.next(c)
		synctest.Wait()
		if left := len(sub.queue); left > n-1-batchSize/700 || left == 0 { // an uplink is shorter than 700 bytes
			t.Errorf("after one message, %d wait", left)
		}
		for range n - 1 {
			r.next(c)
		}
	})
}

func TestAFloodOfPingsIsReadAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{})
		c := r.connect("")
		pongs := 0
		c.SetPongHandler(func(string) error { pongs++; return nil })
		go closeCode(c)
		began := time.Now()
		for range 1500 {
			if err := c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if took := time.Since(began); took < 1900*time.Millisecond || took > 2100*time.Millisecond {
			t.Errorf("1500 pings took %v; 500 at once and 500 a second are allowed", took)
		}
		if pongs != 1500 {
			t.Errorf("%d pongs", pongs)
		}
	})
}
