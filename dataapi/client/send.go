package client

import (
	"context"
	"fmt"
	"time"
)

// Respond answers a downlink_request. What the server has against the answer
// comes as a message of type error with the same PacketHash.
func (c *Client) Respond(ctx context.Context, request *Message, r DownlinkResponse) error {
	return c.send(ctx, outgoing{"downlink_response", request.meta, r.params()})
}

// RespondJoin answers a join_request: the session key, and the encrypted
// join-accept without its MHDR byte.
func (c *Client) RespondJoin(ctx context.Context, request *Message, nwkSKey [16]byte, accept []byte) error {
	return c.send(ctx, outgoing{"join_response", request.meta, struct {
		NwkSKey string `json:"nwkskey"`
		Accept  []byte `json:"accept_payload"`
	}{fmt.Sprintf("%x", nwkSKey), accept}})
}

// target names a device.
type target struct {
	Device string `json:"device"`
}

// Claim asks for a transmit window of a device: a downlink_request comes.
func (c *Client) Claim(ctx context.Context, device string) error {
	return c.send(ctx, outgoing{"downlink_claim", target{device}, nil})
}

// RequestStatus asks how a device is: a status_response comes.
func (c *Client) RequestStatus(ctx context.Context, device string) error {
	return c.send(ctx, outgoing{"status_request", target{device}, nil})
}

// Send sends any message, for what has no method here.
func (c *Client) Send(ctx context.Context, messageType string, meta, params any) error {
	return c.send(ctx, outgoing{messageType, meta, params})
}

func (c *Client) send(ctx context.Context, m outgoing) error {
	until := time.Now().Add(writeTime)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return ErrNotConnected
	}
	if err := c.conn.SetWriteDeadline(until); err != nil {
		return fmt.Errorf("send %s: %w", m.Type, err)
	}
	if err := c.conn.WriteJSON(m); err != nil {
		_ = c.conn.Close() // half a message may be out: the connection is of no more use
		return fmt.Errorf("send %s: %w", m.Type, err)
	}
	return nil
}
