package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"filippo.io/age"

	"gatewayd/cmd/gatewayd/backup"
	"gatewayd/cmd/gatewayd/config"
	"gatewayd/dataapi"
	"gatewayd/nsedge/region"
	"gatewayd/nsedge/store"
)

// backups makes and restores backups of one state folder; it is the
// [dataapi.Backups] of a server.
type backups struct {
	cfg     config.Config
	store   *store.Store
	gateway func() string // its EUI; "" while it is not known
}

// eui is what a backup tells of the gateway.
func (d *daemon) eui() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.edge == nil {
		return ""
	}
	return d.gateway.String()
}

// Prepare implements [dataapi.Backups].
func (b backups) Prepare(s dataapi.BackupSecret) (func(context.Context, io.Writer) error, error) {
	to, err := recipient(s)
	if err != nil {
		return nil, err
	}
	reg, err := region.Lookup(b.cfg.Region.Name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := b.cfg.Print(&text); err != nil {
		return nil, err
	}
	info := backup.Info{Made: time.Now().UTC().Truncate(time.Second), Version: version, Region: reg.Short(), Gateway: b.gateway()}
	return func(ctx context.Context, w io.Writer) error {
		return backup.Write(ctx, w, b.store, info, text.Bytes(), to)
	}, nil
}

// Restore implements [dataapi.Backups].
func (b backups) Restore(ctx context.Context, r io.Reader, s dataapi.BackupSecret, check bool) (any, error) {
	sum, err := restoreState(ctx, b.cfg, r, s, check)
	for _, theirs := range []error{backup.ErrSecret, backup.ErrDamaged, backup.ErrVersion, errOtherRegion} {
		if errors.Is(err, theirs) {
			return nil, &dataapi.BackupError{Err: err}
		}
	}
	return sum, err
}

func recipient(s dataapi.BackupSecret) (age.Recipient, error) {
	if s.Key != "" {
		return backup.ForKey(s.Key)
	}
	return backup.ForPassphrase(s.Passphrase)
}

func identity(s dataapi.BackupSecret) (age.Identity, error) {
	if s.Key != "" {
		return backup.FromKey(s.Key)
	}
	return backup.FromPassphrase(s.Passphrase)
}

var errOtherRegion = errors.New("the backup is of another region")

// restoreState checks a backup, or makes it the state that the next start
// finds. What is in the state folder stays in use until then.
func restoreState(ctx context.Context, cfg config.Config, r io.Reader, s dataapi.BackupSecret, check bool) (sum backup.Summary, err error) {
	id, err := identity(s)
	if err != nil {
		return sum, fmt.Errorf("%w: %w", backup.ErrSecret, err)
	}
	if check {
		return backup.Check(ctx, r, id)
	}
	reg, err := region.Lookup(cfg.Region.Name)
	if err != nil {
		return sum, err
	}
	err = store.Stage(cfg.State.Dir, store.Options{}, func(st *store.Store) error {
		if sum, err = backup.Read(ctx, r, id, st); err != nil {
			return err
		}
		if sum.Region != reg.Short() {
			return fmt.Errorf("%w: %s, this gateway is configured for %s: set region.name as in the backup", errOtherRegion, sum.Region, reg.Short())
		}
		return nil
	})
	return sum, err
}

// installRestored puts a backup that waits in the place of the state.
func installRestored(dir string, log *slog.Logger) error {
	done, err := store.Install(dir, store.Options{Log: log})
	if err != nil {
		return fmt.Errorf("state.dir: %w", err)
	}
	if done {
		log.Info("a restored backup is in use now", "dir", dir)
	}
	return nil
}

// described is a backup in words.
func described(s backup.Summary) string {
	var rest []string
	for name, n := range s.Records {
		if name != "devices" {
			rest = append(rest, fmt.Sprintf("%d %s", n, name))
		}
	}
	gateway := ""
	if s.Gateway != "" {
		gateway = " of gateway " + s.Gateway
	}
	return fmt.Sprintf("a backup%s, %s, made on %s by gatewayd %s: %d devices (%s)", gateway, s.Region,
		s.Made.Format(time.RFC3339), s.Version, s.Records["devices"], strings.Join(sortedTexts(rest), ", "))
}
