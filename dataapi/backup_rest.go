package dataapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Backups is what makes and restores backups of the whole gateway. A secret
// is a passphrase or an age key.
type Backups interface {
	// Prepare checks the secret; write makes the backup.
	Prepare(s BackupSecret) (write func(ctx context.Context, w io.Writer) error, err error)
	// Restore reads a backup. With check it only looks at it; else it is in
	// use after the next start. The summary is JSON.
	Restore(ctx context.Context, r io.Reader, s BackupSecret, check bool) (summary any, err error)
}

// BackupSecret closes or opens a backup: one of the two.
type BackupSecret struct {
	Passphrase string
	Key        string // "age1…" to close, "AGE-SECRET-KEY-1…" to open
}

// BackupError is what is wrong with a backup or its secret: the caller's
// matter.
type BackupError struct{ Err error }

func (e *BackupError) Error() string { return e.Err.Error() }
func (e *BackupError) Unwrap() error { return e.Err }

// maxBackup bounds what is restored.
const maxBackup = 2 << 30

// The secret to open a backup comes in headers, as the body is the file.
const (
	headerPassphrase = "Backup-Passphrase" //nolint:gosec // its name
	headerIdentity   = "Backup-Identity"
)

// backupRoutes are for administrators: a backup holds every key.
func (s *Server) backupRoutes() []route {
	return []route{
		{"/backup", "backup", methods{http.MethodPost: s.makeBackup}},
		{"/restore", "backup", methods{http.MethodPost: s.restoreBackup}},
	}
}

func (s *Server) theBackups(c *call) (Backups, error) {
	switch {
	case c.key.Scope != nil:
		return nil, errOutOfScope
	case s.cfg.Backups == nil:
		return nil, &problem{http.StatusNotImplemented, codeServerError, "", "this server makes no backups"}
	}
	return s.cfg.Backups, nil
}

func (s *Server) makeBackup(c *call) (reply, error) {
	backups, err := s.theBackups(c)
	if err != nil {
		return reply{}, err
	}
	body, err := c.body("backup")
	if err != nil {
		return reply{}, err
	}
	var secret BackupSecret
	if secret.Passphrase, err = body.text("passphrase"); err != nil {
		return reply{}, err
	}
	if secret.Key, err = body.text("recipient"); err != nil {
		return reply{}, err
	}
	if (secret.Passphrase == "") == (secret.Key == "") {
		return reply{}, missingField("passphrase", "a passphrase, or in its place a recipient, is wanted: a backup is always encrypted")
	}
	write, err := backups.Prepare(secret)
	if err != nil {
		return reply{}, badField("recipient", "%v", err)
	}
	c.w.Header().Set("Content-Disposition", `attachment; filename="gatewayd-backup.age"`)
	return reply{http.StatusOK, stream{"application/age", func(w io.Writer) error { return write(c.Context(), w) }}}, nil
}

func (s *Server) restoreBackup(c *call) (reply, error) {
	backups, err := s.theBackups(c)
	if err != nil {
		return reply{}, err
	}
	check, err := c.query.flag("check")
	if err != nil {
		return reply{}, err
	}
	secret := BackupSecret{c.Header.Get(headerPassphrase), c.Header.Get(headerIdentity)}
	if (secret.Passphrase == "") == (secret.Key == "") {
		return reply{}, missingField(headerPassphrase, "the header "+headerPassphrase+", or in its place "+headerIdentity+", is wanted")
	}
	summary, err := backups.Restore(c.Context(), http.MaxBytesReader(c.w, c.file, maxBackup), secret, check)
	var wrong *BackupError
	switch {
	case errors.As(err, &wrong):
		return reply{}, &problem{http.StatusUnprocessableEntity, codeBadField, "", wrong.Error()}
	case err != nil:
		return reply{}, fmt.Errorf("restore: %w", err)
	}
	message := "the backup is whole; nothing was changed"
	if !check {
		message = "the backup takes the place of everything here at the next start of gatewayd: restart it now. Until then, what changes is lost"
	}
	return reply{http.StatusOK, map[string]any{"message": message, "check": check, "backup": summary}}, nil
}
