package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/lab"
)

func newLabKeys(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:   "keys FOLDER",
		Short: "Write the keys of all devices for Wireshark",
		Long: `Writes the keys of all devices of the running gateway, which must have lab.enabled,
into a folder: the tables of keys of Wireshark's LoRaWAN dissector. Those that are in
the folder are replaced. With a profile of its own for Wireshark:

  gatewayd lab keys ~/.config/wireshark/profiles/gatewayd
  wireshark -C gatewayd capture.pcapng

Whoever reads these files can read and forge all frames. Remove them after use.`,
		Args: exactly(1, "FOLDER"),
	}, func(ctx context.Context, a *api, args []string) error {
		tables := map[string]string{}
		for _, name := range lab.KeyTables() {
			var text bytes.Buffer
			if err := a.download(ctx, http.MethodGet, "/lab/keys/"+name, nil, nil, &text); err != nil {
				return err
			}
			tables[name] = text.String()
		}
		if err := writeKeys(args[0], tables); err != nil {
			return err
		}
		_, err := fmt.Fprintf(std.out, "the keys of all devices are in %s; remove them after use\n", args[0])
		return err
	})
}
