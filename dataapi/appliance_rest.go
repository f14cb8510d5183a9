package dataapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

// Appliance is a machine on which there is nothing but gatewayd: the image
// for a Raspberry Pi's card. It does what the daemon has no rights for.
type Appliance interface {
	Status(ctx context.Context) (ApplianceStatus, error)
	// Update installs a signed update, which the next start tries, and
	// restarts the machine. It returns the new version. An error of type
	// *ApplianceError is the update's matter: nothing has changed.
	Update(ctx context.Context, r io.Reader) (version string, err error)
	// Reboot restarts the machine.
	Reboot(ctx context.Context) error
	// Reset removes all that was ever set or learnt, and restarts the machine.
	Reset(ctx context.Context) error
}

// ApplianceStatus is what runs on an appliance.
type ApplianceStatus struct {
	Version string `json:"version"`
	Kernel  string `json:"kernel"`
	Slot    int    `json:"slot"`  // the partition with the root file system that runs, 2 or 3
	Trial   bool   `json:"trial"` // this version is not kept yet: unless gatewayd is well, the old one comes back
}

// ApplianceError is why an appliance refused.
type ApplianceError struct{ Message string }

func (e *ApplianceError) Error() string { return e.Message }

// maxUpdate bounds an update: a slot of the card and its signature.
const maxUpdate = 64<<20 + 1<<16

func (s *Server) applianceRoutes() []route {
	return []route{
		{"/system/appliance", "system", methods{http.MethodGet: s.appliance(func(c *call, a Appliance) (reply, error) {
			status, err := a.Status(c.Context())
			return reply{http.StatusOK, map[string]ApplianceStatus{"appliance": status}}, err
		})}},
		{"/system/update", "system", methods{http.MethodPost: s.appliance(s.update)}},
		{"/system/reboot", "system", methods{http.MethodPost: s.appliance(s.reboot)}},
		{"/system/reset", "system", methods{http.MethodPost: s.appliance(s.reset)}},
	}
}

func (s *Server) appliance(f func(*call, Appliance) (reply, error)) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		if s.cfg.Appliance == nil {
			return reply{}, &problem{http.StatusNotImplemented, codeServerError, "", "this gateway is no appliance: its software is updated by the host's means, such as apt"}
		}
		r, err := f(c, s.cfg.Appliance)
		if refused, ok := errors.AsType[*ApplianceError](err); ok {
			return reply{}, &problem{http.StatusUnprocessableEntity, codeBadField, "", refused.Message}
		}
		return r, err
	}
}

func (s *Server) update(c *call, a Appliance) (reply, error) {
	v, err := a.Update(c.Context(), http.MaxBytesReader(c.w, c.file, maxUpdate))
	if err != nil {
		return reply{}, fmt.Errorf("update: %w", err)
	}
	s.log.Warn("update installed: the machine restarts", slog.String("to", v), slog.String("key", c.key.ID))
	return reply{http.StatusAccepted, map[string]string{
		"message": "the update is installed, and the machine restarts: it keeps the new version if gatewayd is well in it", "version": v,
	}}, nil
}

func (s *Server) reboot(c *call, a Appliance) (reply, error) {
	if err := a.Reboot(c.Context()); err != nil {
		return reply{}, fmt.Errorf("reboot: %w", err)
	}
	s.log.Warn("the machine restarts", slog.String("key", c.key.ID))
	return reply{http.StatusAccepted, map[string]string{"message": "the machine restarts"}}, nil
}

func (s *Server) reset(c *call, a Appliance) (reply, error) {
	if err := a.Reset(c.Context()); err != nil {
		return reply{}, fmt.Errorf("reset: %w", err)
	}
	s.log.Warn("reset to factory: the machine restarts", slog.String("key", c.key.ID))
	return reply{http.StatusAccepted, map[string]string{"message": "the machine restarts, and forgets everything"}}, nil
}
