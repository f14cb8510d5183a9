package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newDevice(std streams) *cobra.Command {
	return newGroup("device", "Manage devices",
		newDeviceAdd(std), newDeviceSet(std), newDeviceList(std), newDeviceShow(std), newDeviceRemove(std),
		newDeviceImport(std), newDeviceExport(std), newDeviceUndo(std))
}

// deviceFields is the part of the help that add and set share.
const deviceFields = `
Fields, as in the Management API:
  app_eui app_key            JoinEUI and root key, 16 and 32 hex digits
  lorawan_version            1.0.0 to 1.0.4, or 1.1
  nwk_key                    the other root key of LoRaWAN 1.1
  activation                 OTAA or ABP
  encryption                 NS: keys are held here; APP: the application server has them
  dev_addr nwkskey appskey   the session of an ABP device; of LoRaWAN 1.1, nwkskey
                             is FNwkSIntKey, beside snwksintkey and nwksenckey
  dev_class band tags org counters_size strict_counter block_uplink block_downlink
  adr.mode rx1.delay rx2.force geolocation.lat geolocation.lng
  ping_slot.periodicity ping_slot.freq ping_slot.datarate   where class B listens
  multicast repeat           a multicast group: ABP, of class B or C

tags is a comma separated list. FIELD=@FILE reads the value from a file, so that a
key need not stand on the command line. All of it works whether or not the daemon
runs.`

func newDeviceAdd(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add DEV_EUI FIELD=VALUE... | add --from FILE",
		Short: "Register a device",
		Long: `Registers a device.

  gatewayd device add 70b3d57ed0000001 app_eui=0000000000000001 \
      app_key=000102030405060708090a0b0c0d0e0f tags=cellar,demo

--from reads one device, or a list of them, as JSON: the objects of the Management
API. "-" is standard input.
` + deviceFields,
		Args: cobra.ArbitraryArgs,
	}
	from := cmd.Flags().String("from", "", "JSON `FILE` with one device or a list of devices")
	return withAPI(cmd, func(ctx context.Context, a *api, args []string) error {
		devices, err := devicesToAdd(cmd, std.in, *from, args)
		if err != nil {
			return err
		}
		for _, d := range devices {
			if err := a.call(ctx, http.MethodPost, "/devices", nil, d, nil); err != nil {
				return fmt.Errorf("add device %v: %w", d["dev_eui"], err)
			}
			fmt.Fprintf(std.out, "device %v is registered\n", d["dev_eui"])
		}
		return nil
	})
}

func devicesToAdd(cmd *cobra.Command, stdin io.Reader, from string, args []string) ([]map[string]any, error) {
	switch {
	case from != "" && len(args) > 0:
		return nil, usagef(cmd, "--from takes no further arguments, got %q", args[0])
	case from != "":
		return readDevices(stdin, from)
	case len(args) == 0:
		return nil, usagef(cmd, "DEV_EUI is wanted, 16 hex digits, or --from FILE")
	}
	d, err := parseFields(cmd, args[1:])
	if err != nil {
		return nil, err
	}
	d["dev_eui"] = args[0]
	return []map[string]any{d}, nil
}

// readDevices reads a device, or a list, or {"devices": list} as exported.
func readDevices(stdin io.Reader, file string) ([]map[string]any, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(stdin)
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	var list []map[string]any
	if json.Unmarshal(text, &list) == nil {
		return list, nil
	}
	var one map[string]any
	if err := json.Unmarshal(text, &one); err != nil {
		return nil, fmt.Errorf("%s: a JSON object or a list of objects is wanted: %w", file, err)
	}
	if _, exported := one["devices"]; exported {
		var all struct{ Devices []map[string]any }
		err := json.Unmarshal(text, &all)
		return all.Devices, err
	}
	return []map[string]any{one}, nil
}

// parseFields makes a JSON object of FIELD=VALUE words; a.b=c nests. Values
// stay text: the API reads numbers and booleans from text too.
func parseFields(cmd *cobra.Command, words []string) (map[string]any, error) {
	d := map[string]any{}
	for _, word := range words {
		field, value, ok := strings.Cut(word, "=")
		if !ok || field == "" {
			return nil, usagef(cmd, "%q is no FIELD=VALUE", word)
		}
		if file, ok := strings.CutPrefix(value, "@"); ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, usagef(cmd, "%s: %w", field, err)
			}
			value = strings.TrimSpace(string(text))
		}
		set(d, field, value)
	}
	return d, nil
}

func set(d map[string]any, field, value string) {
	if outer, inner, ok := strings.Cut(field, "."); ok {
		sub, ok := d[outer].(map[string]any)
		if !ok {
			sub = map[string]any{}
			d[outer] = sub
		}
		set(sub, inner, value)
		return
	}
	if field != "tags" {
		d[field] = value
		return
	}
	tags := []string{}
	for tag := range strings.SplitSeq(value, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
	}
	d[field] = tags
}

func newDeviceSet(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set DEV_EUI FIELD=VALUE...",
		Short: "Change a device",
		Long:  "Changes a device.\n" + deviceFields,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef(cmd, "DEV_EUI and at least one FIELD=VALUE are wanted")
			}
			return nil
		},
	}
	return withAPI(cmd, func(ctx context.Context, a *api, args []string) error {
		fields, err := parseFields(cmd, args[1:])
		if err != nil {
			return err
		}
		if err := a.call(ctx, http.MethodPatch, devicePath(args[0]), nil, fields, nil); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "device %s is changed\n", args[0])
		return nil
	})
}

func devicePath(eui string) string { return "/devices/" + url.PathEscape(eui) }

func newDeviceList(std streams) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the devices", Args: exactly(0, "")}
	asJSON := cmd.Flags().Bool("json", false, "print the Management API's JSON")
	return withAPI(cmd, func(ctx context.Context, a *api, _ []string) error {
		return listDevices(ctx, std.out, a, *asJSON)
	})
}

// devicePage is how many devices are asked for at once.
const devicePage = 300

func listDevices(ctx context.Context, out io.Writer, a *api, asJSON bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	enc := json.NewEncoder(out)
	if !asJSON {
		fmt.Fprintln(w, "DEV_EUI\tACTIVATION\tDEV_ADDR\tUP\tDOWN\tTAGS")
	}
	for offset := 0; ; {
		var page struct {
			Devices []json.RawMessage `json:"devices"`
			Total   int               `json:"total"`
		}
		query := url.Values{"offset": {fmt.Sprint(offset)}, "limit": {fmt.Sprint(devicePage)}}
		if err := a.call(ctx, http.MethodGet, "/devices", query, nil, &page); err != nil {
			return err
		}
		for _, raw := range page.Devices {
			if asJSON {
				if err := enc.Encode(raw); err != nil {
					return err
				}
				continue
			}
			if err := deviceRow(w, raw); err != nil {
				return err
			}
		}
		offset += len(page.Devices)
		if len(page.Devices) == 0 || offset >= page.Total {
			return w.Flush()
		}
	}
}

func deviceRow(w io.Writer, raw json.RawMessage) error {
	var d struct {
		DevEUI      string   `json:"dev_eui"`
		Activation  string   `json:"activation"`
		DevAddr     *string  `json:"dev_addr"`
		CounterUp   uint32   `json:"counter_up"`
		CounterDown uint32   `json:"counter_down"`
		Tags        []string `json:"tags"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("device: %w", err)
	}
	addr := "-"
	if d.DevAddr != nil && *d.DevAddr != "" {
		addr = *d.DevAddr
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\n",
		d.DevEUI, d.Activation, addr, d.CounterUp, d.CounterDown, strings.Join(d.Tags, ","))
	return err
}

func newDeviceShow(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:   "show DEV_EUI",
		Short: "Print a device as JSON, its keys included",
		Args:  exactly(1, "DEV_EUI"),
	}, func(ctx context.Context, a *api, args []string) error {
		var answer struct{ Device json.RawMessage }
		if err := a.call(ctx, http.MethodGet, devicePath(args[0]), nil, nil, &answer); err != nil {
			return err
		}
		enc := json.NewEncoder(std.out)
		enc.SetIndent("", "  ")
		return enc.Encode(answer.Device)
	})
}

func newDeviceRemove(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:     "remove DEV_EUI",
		Aliases: []string{"rm"},
		Short:   "Remove a device with its session",
		Args:    exactly(1, "DEV_EUI"),
	}, func(ctx context.Context, a *api, args []string) error {
		if err := a.call(ctx, http.MethodDelete, devicePath(args[0]), nil, nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "device %s is removed\n", args[0])
		return nil
	})
}
