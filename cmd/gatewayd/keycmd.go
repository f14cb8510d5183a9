package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gatewayd/dataapi"
)

func newKey(std streams) *cobra.Command {
	return newGroup("key", "Manage the keys that application servers connect with",
		newKeyCreate(std), newKeyList(std), newKeyRevoke(std))
}

// withAPI adds -c to a command and runs f with the Management API of that
// configuration.
func withAPI(cmd *cobra.Command, f func(ctx context.Context, a *api, args []string) error) *cobra.Command {
	load := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		a, err := openAPI(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		err = f(cmd.Context(), a, args)
		if cerr := a.close(); err == nil {
			err = cerr
		}
		// What the API calls a bad request was typed here.
		if r := (*refused)(nil); errors.As(err, &r) && r.Status == http.StatusBadRequest {
			return &usageError{cmd.CommandPath(), err}
		}
		return err
	}
	return cmd
}

func newKeyCreate(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create --name NAME [--rights data,devices,...] [--scope LIST=VALUES]",
		Short: "Make a key; its token is the last line of the output",
		Long: `Makes a key and prints its token as the last line. The token is shown this
once; only a hash of it is kept. Works whether or not the daemon runs.

Rights: data      connect to the Data API, hear and answer
        devices   list, create, change and delete devices
        keys      make and revoke keys, with any rights
        gateways  see the gateways
        secrets   see device keys; goes with devices`,
		Args: exactly(0, ""),
	}
	name := cmd.Flags().String("name", "", "what the key is for (required)")
	list := cmd.Flags().String("rights", "data", "comma separated `LIST` of rights")
	scope := cmd.Flags().StringArray("scope", nil, "confine the key: `LIST=VALUES`, such as types=join_request or devices=EUI,EUI; may be repeated")
	withAPI(cmd, func(ctx context.Context, a *api, _ []string) error {
		rights, err := dataapi.ParseRights(*list)
		if err != nil {
			return usagef(cmd, "--rights: %w", err)
		}
		if len(rights) == 0 {
			return usagef(cmd, "--rights %q: at least one is wanted of %v", *list, dataapi.AllRights())
		}
		if *name == "" {
			return usagef(cmd, "--name is wanted: what is the key for?")
		}
		var made struct{ Key keyJSON }
		in := map[string]any{"description": *name, "rights": rights}
		if len(*scope) > 0 {
			if in["scope"], err = parseScope(*scope); err != nil {
				return usagef(cmd, "--scope: %w", err)
			}
		}
		if err := a.call(ctx, http.MethodPost, "/keys", nil, in, &made); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "key %s %q with rights %s; the token is not shown again:\n%s\n",
			made.Key.ID, *name, join(rights), made.Key.Token)
		return nil
	})
	return cmd
}

// parseScope reads what a key is confined to.
func parseScope(pairs []string) (map[string]string, error) {
	known := []string{"applications", "devices", "gateways", "tags", "types"}
	scope := map[string]string{}
	for _, pair := range pairs {
		list, values, ok := strings.Cut(pair, "=")
		if !ok || !slices.Contains(known, list) {
			return nil, fmt.Errorf("%q: LIST=VALUES is wanted, with a list out of %v", pair, known)
		}
		scope[list] = values
	}
	return scope, nil
}

// keyJSON is a key as the Management API shows it.
type keyJSON struct {
	ID          string          `json:"id"`
	Description string          `json:"description"`
	Rights      []dataapi.Right `json:"rights"`
	Token       string          `json:"access_token"`
}

func join(rights []dataapi.Right) string {
	words := make([]string, len(rights))
	for i, r := range rights {
		words[i] = string(r)
	}
	return strings.Join(words, ",")
}

func newKeyList(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:   "list",
		Short: "List the keys, without their tokens",
		Args:  exactly(0, ""),
	}, func(ctx context.Context, a *api, _ []string) error {
		var list struct{ Keys []keyJSON }
		if err := a.call(ctx, http.MethodGet, "/keys", nil, nil, &list); err != nil {
			return err
		}
		w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tRIGHTS\tNAME")
		for _, k := range list.Keys {
			rights := join(k.Rights)
			if rights == "" {
				rights = "(permissions)"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", k.ID, rights, k.Description)
		}
		return w.Flush()
	})
}

func newKeyRevoke(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a key; connections that were opened with it end",
		Args:  exactly(1, "the key's ID (see \"gatewayd key list\")"),
	}, func(ctx context.Context, a *api, args []string) error {
		if err := a.call(ctx, http.MethodDelete, "/keys/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "key %s is revoked\n", args[0])
		return nil
	})
}
