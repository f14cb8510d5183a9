package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
	"gatewayd/nsedge/store"
)

func newBackup(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write the whole gateway into one encrypted file",
		Long: `Writes devices, keys, sessions, counters, users, filters and connections into one
file, encrypted in the format of age (https://age-encryption.org) with a passphrase
or to a public key; "-" is standard output. Works whether or not the daemon runs.

  gatewayd backup gateway.age --passphrase-stdin < passphrase
  gatewayd backup gateway.age --recipient age1...

"gatewayd restore" reads it. See docs/backup.md.`,
		Args: exactly(1, "FILE"),
	}
	phrase := passphraseFlag(cmd, std)
	to := cmd.Flags().String("recipient", "", "public `KEY` to encrypt to, as age-keygen prints it")
	return withAPI(cmd, func(ctx context.Context, a *api, args []string) error {
		body, err := backupSecret(cmd, phrase, "recipient", *to)
		if err != nil {
			return err
		}
		return toFile(std.out, args[0], func(w io.Writer) error { return fetchBackup(ctx, a, body, w) })
	})
}

func fetchBackup(ctx context.Context, a *api, s dataapi.BackupSecret, w io.Writer) error {
	in, err := json.Marshal(map[string]string{"passphrase": s.Passphrase, "recipient": s.Key})
	if err != nil {
		return err
	}
	return a.download(ctx, http.MethodPost, "/backup", nil, bytes.NewReader(in), w)
}

// toFile writes a file that is there whole or not at all; "-" is out.
func toFile(out io.Writer, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(out)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".gatewayd-backup-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone after the rename
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func newRestore(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of everything that is there",
		Long: `Puts a backup in the place of everything in state.dir. The daemon must not run.
Counters and nonces go on so far ahead (8192 downlinks, 1024 joins) that nothing is
used twice; what happened since the backup is not known. The old database stays
beside the new one as gatewayd.db.before. "-" is standard input.

  gatewayd restore --check gateway.age --identity key.txt    only tells what it holds

Never let the old gateway run on beside the new one. See docs/backup.md.`,
		Args: exactly(1, "FILE"),
	}
	phrase := passphraseFlag(cmd, std)
	key := cmd.Flags().String("identity", "", "`FILE` with the secret key, as age-keygen makes it")
	check := cmd.Flags().Bool("check", false, "only read the whole backup and tell what it holds")
	replace := cmd.Flags().Bool("replace", false, "restore although devices are registered here: they are lost")
	load := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := load()
		if err != nil {
			return err
		}
		secret, err := restoreSecret(cmd, phrase, *key)
		if err != nil {
			return err
		}
		in, err := openInput(std.in, args[0])
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		defer in.Close()
		if !*check {
			if err := mayRestore(cmd.Context(), cfg, *replace); err != nil {
				return err
			}
		}
		sum, err := restoreState(cmd.Context(), cfg, in, secret, *check)
		if err != nil {
			return err
		}
		fmt.Fprintln(std.out, described(sum))
		if *check {
			return nil
		}
		if _, err := store.Install(cfg.State.Dir, store.Options{LockTimeout: lockPatience}); err != nil {
			return err
		}
		fmt.Fprintf(std.out, "restored into %s\n", cfg.State.Dir)
		return nil
	}
	return cmd
}

// mayRestore refuses while a daemon runs, and to lose devices by mistake.
func mayRestore(ctx context.Context, cfg config.Config, replace bool) error {
	a, err := dialAdmin(ctx, cfg.State.Dir)
	if err == nil {
		return errors.Join(errors.New("gatewayd runs: stop it first, or restore through its Management API"), a.close())
	}
	if !errors.Is(err, errNoDaemon) {
		return err
	}
	if replace {
		return os.MkdirAll(cfg.State.Dir, 0o700)
	}
	st, err := store.Open(cfg.State.Dir, store.Options{LockTimeout: lockPatience})
	if err != nil {
		return fmt.Errorf("%w; with --replace the backup takes its place all the same", err)
	}
	n := 0
	err = st.Each("devices", func(_, _ []byte) error { n++; return nil })
	if err = errors.Join(err, st.Close()); err == nil && n > 0 {
		err = fmt.Errorf("%d devices are registered in %s: they would be lost; --replace restores all the same", n, cfg.State.Dir)
	}
	return err
}

// passphraseFlag adds --passphrase-stdin; the function it returns reads it, ""
// if the flag is not given.
func passphraseFlag(cmd *cobra.Command, std streams) func() (string, error) {
	given := cmd.Flags().Bool("passphrase-stdin", false, "read the passphrase from standard input")
	return func() (string, error) {
		if !*given {
			return "", nil
		}
		const most = 64 << 10
		text, err := io.ReadAll(io.LimitReader(std.in, most))
		if err != nil {
			return "", fmt.Errorf("read the passphrase: %w", err)
		}
		phrase := strings.TrimRight(string(text), "\r\n")
		if phrase == "" {
			return "", usagef(cmd, "--passphrase-stdin: standard input is empty")
		}
		return phrase, nil
	}
}

// backupSecret wants a passphrase or the other flag's key.
func backupSecret(cmd *cobra.Command, phrase func() (string, error), flag, key string) (s dataapi.BackupSecret, err error) {
	s.Key = key
	if s.Passphrase, err = phrase(); err == nil && (s.Passphrase == "") == (s.Key == "") {
		err = usagef(cmd, "one of --passphrase-stdin and --%s is wanted: a backup is always encrypted", flag)
	}
	return s, err
}

func restoreSecret(cmd *cobra.Command, phrase func() (string, error), file string) (dataapi.BackupSecret, error) {
	key := ""
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return dataapi.BackupSecret{}, usagef(cmd, "--identity: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "AGE-SECRET-KEY-") {
				key = line
			}
		}
		if key == "" {
			return dataapi.BackupSecret{}, usagef(cmd, "--identity: %s has no line that begins with AGE-SECRET-KEY-, as age-keygen makes it", file)
		}
	}
	return backupSecret(cmd, phrase, "identity", key)
}

func sortedTexts(list []string) []string { slices.Sort(list); return list }
