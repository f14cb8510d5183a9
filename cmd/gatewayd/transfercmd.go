package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// transferred is the answer to an import.
type transferred struct {
	Message string `json:"message"`
	Format  string `json:"format"`
	Rows    []struct {
		At, Action, Message string
		DevEUI              string `json:"dev_eui"`
	} `json:"rows"`
}

func newDeviceImport(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Register or change the devices of a file",
		Long: `Registers or changes the devices of a file; "-" is standard input. The format is
found out, or stated: csv and json (our own exports), chirpstack (v4), tts (The
Things Stack). If one device is refused, nothing is changed, unless --skip-faults
is given. "gatewayd device undo-import" takes the last import back.

  gatewayd device import --dry-run devices.csv     tells what would become of each line

See docs/import.md for the columns. Works whether or not the daemon runs.`,
		Args: exactly(1, "FILE"),
	}
	format := cmd.Flags().String("format", "auto", "`FORMAT`: auto, csv, json, chirpstack, tts")
	dry := cmd.Flags().Bool("dry-run", false, "only tell what would become of each device")
	skip := cmd.Flags().Bool("skip-faults", false, "import the good devices if some are refused")
	return withAPI(cmd, func(ctx context.Context, a *api, args []string) error {
		in, err := openInput(std.in, args[0])
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		defer in.Close()
		query := url.Values{"format": {*format}, "dry_run": {fmt.Sprint(*dry)}, "skip_faults": {fmt.Sprint(*skip)}}
		resp, err := a.send(ctx, http.MethodPost, "/devices/import", query, in)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusUnprocessableEntity {
			return refusal(resp)
		}
		var r transferred
		if err := json.NewDecoder(io.LimitReader(resp.Body, answerMax)).Decode(&r); err != nil {
			return fmt.Errorf("gatewayd's answer: %w", err)
		}
		for _, row := range r.Rows {
			if *dry || row.Action == "refused" {
				fmt.Fprintln(std.out, strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", row.At, row.DevEUI, row.Action, row.Message)))
			}
		}
		if resp.StatusCode/100 != 2 {
			return errors.New(r.Message)
		}
		fmt.Fprintf(std.out, "%s (%s)\n", r.Message, r.Format)
		return nil
	})
}

func openInput(stdin io.Reader, file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(file)
}

func newDeviceUndo(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:   "undo-import",
		Short: "Take the last import back",
		Long: `Takes the last import back: the devices that it made are removed, those that it
changed are as before. Refuses if one of them was changed or used since.`,
		Args: exactly(0, ""),
	}, func(ctx context.Context, a *api, _ []string) error {
		var done struct{ Message string }
		if err := a.call(ctx, http.MethodPost, "/devices/import/undo", nil, nil, &done); err != nil {
			return err
		}
		fmt.Fprintln(std.out, done.Message)
		return nil
	})
}

func newDeviceExport(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write all devices as CSV or JSON to standard output",
		Long: `Writes all devices to standard output. --with-keys adds keys and sessions: with
them, another gateway goes on where this one was stopped. Never let two gateways
serve the same session: they would use the same counters.`,
		Args: exactly(0, ""),
	}
	format := cmd.Flags().String("format", "csv", "`FORMAT`: csv or json")
	keys := cmd.Flags().Bool("with-keys", false, "write keys and sessions, too: keep the file secret")
	return withAPI(cmd, func(ctx context.Context, a *api, _ []string) error {
		return a.download(ctx, http.MethodGet, "/devices/export", url.Values{"format": {*format}, "keys": {fmt.Sprint(*keys)}}, nil, std.out)
	})
}

// send makes a request whose body and answer are not small JSON.
func (a *api) send(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "gatewayd", Path: "/api/v1.0" + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	client := *a.http
	client.Timeout = transferTimeout
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask gatewayd: %w", errors.Unwrap(err))
	}
	return resp, nil
}

// download copies the answer to a request to w.
func (a *api) download(ctx context.Context, method, path string, query url.Values, body io.Reader, w io.Writer) error {
	resp, err := a.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return refusal(resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("what came of %s is not complete: %w", path, err)
	}
	return nil
}

// refusal is what an answer other than 2xx says.
func refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read gatewayd's answer: %w", err)
	}
	r := &refused{Status: resp.StatusCode}
	if json.Unmarshal(text, r) != nil || r.Message == "" {
		r.Message = strings.TrimSpace(string(text))
	}
	return r
}
