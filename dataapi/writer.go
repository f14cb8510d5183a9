package dataapi

import (
	"time"

	"github.com/gorilla/websocket"
)

// write owns the outgoing half. A write that takes longer than the time for
// it ends the connection; a silent client doesn't.
func (c *subscriber) write() {
	defer close(c.done)
	pong := time.NewTicker(c.server.cfg.PongInterval)
	defer pong.Stop()
	for {
		select {
		case <-c.gone:
			c.farewell()
			return
		default:
		}
		if err := c.writeOne(pong.C); err != nil {
			c.end(0, "write: "+err.Error())
			_ = c.conn.Close() // wakes the reader
			return
		}
	}
}

// writeOne waits for something to write, if need be. What is new goes before
// the past.
func (c *subscriber) writeOne(pong <-chan time.Time) error {
	if c.replay == nil {
		select {
		case <-c.gone:
			return nil
		case f := <-c.queue:
			return c.send(f)
		case <-pong:
			return c.pong()
		}
	}
	select {
	case f := <-c.queue:
		return c.send(f)
	case <-pong:
		return c.pong()
	default:
		return c.sendPast()
	}
}

func (c *subscriber) pong() error { return c.send(newFrame(websocket.PongMessage, nil)) }

// sendPast replays one message.
func (c *subscriber) sendPast() error {
	p, ok := c.replay.next()
	if !ok {
		mark := c.replay.mark
		if c.replay = nil; !mark {
			return nil
		}
		return c.send(textFrame(c.server.encode(replayEnd(c.opened), newPacketID(), 0)))
	}
	return c.send(textFrame(c.server.encode(p.event, p.id, (c.shape | replayed).of(p.kind))))
}

// send writes a frame, and with it what else waits, within the time for that.
func (c *subscriber) send(f *frame) error {
	return c.put(f, time.Now().Add(c.server.cfg.WriteTimeout))
}

// put writes a frame and what waits, up to the size of a batch: a connection
// that lags behind costs fewer calls, not more.
func (c *subscriber) put(f *frame, until time.Time) error {
	conn := c.conn.NetConn()
	if err := conn.SetWriteDeadline(until); err != nil {
		return err
	}
	messages := f.messages()
	wire := f.wire
	if f.text && len(c.queue) > 0 { // nothing goes after a close frame
		batch := c.server.batches.get()
		defer c.server.batches.put(batch)
		for wire = append(*batch, wire...); len(wire) < batchSize && len(c.queue) > 0; {
			more := <-c.queue
			messages += more.messages()
			wire = append(wire, more.wire...)
		}
		*batch = wire
	}
	if _, err := conn.Write(wire); err != nil {
		return err
	}
	c.sent.Add(messages)
	return nil
}

// closing answers the client's close frame, unless that is itself an answer.
// What is being written has a second left: the client wants no more.
func (c *subscriber) closing(code int, _ string) error {
	select {
	case <-c.gone:
		return nil
	default:
	}
	conn := c.conn.NetConn()
	if conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = conn.Write(newFrame(websocket.CloseMessage, websocket.FormatCloseMessage(code, "")).wire) // it may be gone
	}
	return nil
}

// farewell says why the connection ends and gives the client a moment to
// close it: a socket closed with unread input would be reset, and the close
// frame lost. What is queued still goes out, save to a slow reader.
func (c *subscriber) farewell() {
	until := time.Now().Add(c.server.cfg.CloseTimeout)
	if c.code == 0 {
		return
	}
	for c.code != closeSlow && len(c.queue) > 0 {
		if c.put(<-c.queue, until) != nil {
			break // so will the next fail
		}
	}
	if c.put(newFrame(websocket.CloseMessage, websocket.FormatCloseMessage(c.code, c.why)), until) != nil {
		_ = c.conn.Close() // wakes the reader
		return
	}
	_ = c.conn.NetConn().SetReadDeadline(until) // a closed socket wakes the reader too
}
