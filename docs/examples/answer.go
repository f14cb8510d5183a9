// Command examples is an application server that answers each uplink within
// the receive window that it opened:
//
//	go run ./docs/examples "ws://127.0.0.1:8080/api/v1.0/data?access_token=TOKEN"
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"gatewayd/dataapi/client"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./docs/examples URL, as gatewayd demo prints it")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers until Ctrl-C.
func serve(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	uplinks := map[string]client.Uplink{} // the last one of each device
	c, err := client.New(client.Config{
		URL: url,
		Log: slog.Default(),
		Handle: func(ctx context.Context, c *client.Client, m *client.Message) {
			if err := handle(ctx, c, m, uplinks); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		},
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

func handle(ctx context.Context, c *client.Client, m *client.Message, uplinks map[string]client.Uplink) error {
	switch m.Type {
	case client.TypeUplink:
		var up client.Uplink
		if err := m.Decode(&up); err != nil {
			return err
		}
		uplinks[m.Meta.Device] = up
		fmt.Printf("uplink %s #%d port %d %q\n", m.Meta.Device, up.Counter, up.Port, up.Payload)
	case client.TypeDownlinkRequest:
		if m.Meta.History {
			return nil // its window is over
		}
		text := fmt.Sprintf("got %d", uplinks[m.Meta.Device].Counter)
		return c.Respond(ctx, m, client.DownlinkResponse{Payload: []byte(text), Port: 10})
	case client.TypeDownlink:
		var down client.Downlink
		if err := m.Decode(&down); err != nil {
			return err
		}
		if down.Timing != nil {
			fmt.Printf("downlink %s %s %q, armed %.1f ms before its start\n", m.Meta.Device, down.Timing.Window, down.Payload, down.Timing.Margin*1e3)
		}
	case client.TypeError:
		var n client.Notice
		if err := m.Decode(&n); err != nil {
			return err
		}
		fmt.Println("error", n.Message)
	}
	return nil
}
