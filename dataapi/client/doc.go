// Package client connects an application server to the Data API.
//
//	c, err := client.New(client.Config{
//		URL: "ws://127.0.0.1:8080/api/v1.0/data?access_token=TOKEN",
//		Handle: func(ctx context.Context, c *client.Client, m *client.Message) {
//			if m.Type == client.TypeDownlinkRequest {
//				_ = c.Respond(ctx, m, client.DownlinkResponse{Payload: []byte("hello"), Port: 10})
//			}
//		},
//	})
//	…
//	err = c.Run(ctx)
//
// [Client.Run] keeps the connection up: where it breaks, it is made anew after
// a pause that doubles up to 30 s. What was missed meanwhile comes out of the
// server's history; a message is handed over once, however often it was sent.
// An application that also survives its own restarts keeps
// [Client.Position] and gives it back as [Config.Since].
//
// The package needs nothing of gatewayd's but this folder, so it may be copied.
// What the messages mean is in docs/data-api.md.
package client
