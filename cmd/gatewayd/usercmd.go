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

	"gatewayd/dataapi"
)

func newUser(std streams) *cobra.Command {
	return newGroup("user", "Manage the users who sign in to the Management API",
		newUserAdd(std), newUserList(std), newUserShow(std), newUserSet(std), newUserPassword(std), newUserHash(std), newUserLogout(std), newUserRemove(std))
}

// passwordFlags adds --password-stdin and --hash-stdin; the function it
// returns reads one of the two, which never stands on a command line, and
// names the field of the Management API that takes it.
func passwordFlags(cmd *cobra.Command, std streams) func() (field, value string, err error) {
	password := cmd.Flags().Bool("password-stdin", false, "read the password from standard input")
	hash := cmd.Flags().Bool("hash-stdin", false, "read what \"gatewayd user hash\" printed from standard input, in the place of the password")
	return func() (string, string, error) {
		if *password == *hash {
			return "", "", usagef(cmd, "--password-stdin or --hash-stdin is wanted: the password is read from standard input")
		}
		if *hash {
			value, err := readSecret(cmd, std, "--hash-stdin")
			return "password_hash", value, err
		}
		value, err := readSecret(cmd, std, "--password-stdin")
		return "password", value, err
	}
}

// readSecret reads standard input, without the end of its line.
func readSecret(cmd *cobra.Command, std streams, flag string) (string, error) {
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(std.in, most))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", usagef(cmd, "%s: standard input is empty", flag)
	}
	return secret, nil
}

func newUserHash(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash < FILE",
		Short: "Print the hash of a password, for the card of an appliance",
		Long: `Reads a password from standard input and prints what system.toml on the card takes
as password_hash, and "gatewayd user add" and "password" with --hash-stdin.`,
		Args: exactly(0, ""),
	}
	cmd.RunE = func(*cobra.Command, []string) error {
		password, err := readSecret(cmd, std, "hash")
		if err != nil {
			return err
		}
		hash, err := dataapi.HashPassword(password)
		if err != nil {
			return &usageError{cmd.CommandPath(), err}
		}
		fmt.Fprintln(std.out, hash)
		return nil
	}
	return cmd
}

// userJSON is a user as the Management API shows it.
type userJSON struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

func newUserAdd(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add --email EMAIL --password-stdin|--hash-stdin",
		Short: "Add a user with all rights",
		Long: `Adds a user, who may then sign in with POST /api/v1.0/auth. The user has all rights;
PATCH /api/v1.0/users/ID narrows them. Works whether or not the daemon runs.`,
		Args: exactly(0, ""),
	}
	email := cmd.Flags().String("email", "", "what the user signs in with (required)")
	name := cmd.Flags().String("name", "", "the user's name")
	password := passwordFlags(cmd, std)
	return withAPI(cmd, func(ctx context.Context, a *api, _ []string) error {
		if *email == "" {
			return usagef(cmd, "--email is wanted")
		}
		field, secret, err := password()
		if err != nil {
			return err
		}
		var made struct{ User userJSON }
		in := map[string]any{"email": *email, "name": *name, field: secret}
		if err := a.call(ctx, http.MethodPost, "/users", nil, in, &made); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "user %s is added\n", made.User.Email)
		return nil
	})
}

func newUserList(std streams) *cobra.Command {
	return withAPI(&cobra.Command{Use: "list", Short: "List the users", Args: exactly(0, "")},
		func(ctx context.Context, a *api, _ []string) error {
			var list struct{ Users []userJSON }
			if err := a.call(ctx, http.MethodGet, "/users", nil, nil, &list); err != nil {
				return err
			}
			w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tEMAIL\tNAME")
			for _, u := range list.Users {
				fmt.Fprintf(w, "%s\t%s\t%s\n", u.ID, u.Email, u.Name)
			}
			return w.Flush()
		})
}

// userPath is a user in the Management API.
func userPath(name string) string { return "/users/" + url.PathEscape(name) }

const userArgument = "the user's email or ID (see \"gatewayd user list\")"

func newUserShow(std streams) *cobra.Command {
	return withAPI(&cobra.Command{Use: "show EMAIL", Short: "Show a user as JSON, with permissions", Args: exactly(1, userArgument)},
		func(ctx context.Context, a *api, args []string) error {
			var one struct{ User json.RawMessage }
			if err := a.call(ctx, http.MethodGet, userPath(args[0]), nil, nil, &one); err != nil {
				return err
			}
			return indented(std.out, one.User)
		})
}

func newUserSet(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set EMAIL [--email NEW] [--name NAME] [--permissions JSON]",
		Short: "Change a user; the user's sessions end",
		Long: `Changes what is given. Permissions are {resource: {id or "*": [actions]}}, such as
  --permissions '{"devices":{"*":["read"]},"data":{"*":["read"]}}'
with the resources data, devices, keys, users, filters, connections, gateways,
radio and system, and the actions create, read, update and delete. Who may
change keys or users may do everything. @FILE reads them from a file.`,
		Args: exactly(1, userArgument),
	}
	email := cmd.Flags().String("email", "", "another email")
	name := cmd.Flags().String("name", "", "another name")
	permissions := cmd.Flags().String("permissions", "", "`JSON`, or @FILE with it")
	return withAPI(cmd, func(ctx context.Context, a *api, args []string) error {
		in := map[string]any{}
		for flag, value := range map[string]*string{"email": email, "name": name} {
			if cmd.Flags().Changed(flag) {
				in[flag] = *value
			}
		}
		if cmd.Flags().Changed("permissions") {
			text := []byte(*permissions)
			if path, ok := strings.CutPrefix(*permissions, "@"); ok {
				var err error
				if text, err = os.ReadFile(path); err != nil {
					return fmt.Errorf("--permissions: %w", err)
				}
			}
			if !json.Valid(text) {
				return usagef(cmd, "--permissions: no JSON; such as {\"devices\":{\"*\":[\"read\"]}} is wanted")
			}
			in["permissions"] = json.RawMessage(text)
		}
		if len(in) == 0 {
			return usagef(cmd, "nothing to change: give --email, --name or --permissions")
		}
		if err := a.call(ctx, http.MethodPatch, userPath(args[0]), nil, in, nil); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "user %s is changed\n", args[0])
		return nil
	})
}

func newUserLogout(std streams) *cobra.Command {
	return withAPI(&cobra.Command{Use: "logout EMAIL", Short: "End a user's sessions", Args: exactly(1, userArgument)},
		func(ctx context.Context, a *api, args []string) error {
			if err := a.call(ctx, http.MethodPatch, userPath(args[0]), nil, map[string]any{}, nil); err != nil {
				return err
			}
			fmt.Fprintf(std.out, "user %s is signed out\n", args[0])
			return nil
		})
}

func newUserPassword(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "password EMAIL --password-stdin|--hash-stdin",
		Short: "Set a user's password; the user's sessions end",
		Args:  exactly(1, "the user's email or ID"),
	}
	password := passwordFlags(cmd, std)
	return withAPI(cmd, func(ctx context.Context, a *api, args []string) error {
		field, secret, err := password()
		if err != nil {
			return err
		}
		in := map[string]any{field: secret}
		if err := a.call(ctx, http.MethodPatch, userPath(args[0]), nil, in, nil); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "user %s has a new password\n", args[0])
		return nil
	})
}

func newUserRemove(std streams) *cobra.Command {
	return withAPI(&cobra.Command{
		Use:   "remove EMAIL",
		Short: "Remove a user; the user's sessions end",
		Args:  exactly(1, "the user's email or ID (see \"gatewayd user list\")"),
	}, func(ctx context.Context, a *api, args []string) error {
		if err := a.call(ctx, http.MethodDelete, userPath(args[0]), nil, nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "user %s is removed\n", args[0])
		return nil
	})
}
