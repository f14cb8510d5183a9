package dataapi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

// FirmwareKeeper is what a [Machine] is that keeps the firmware of its
// concentrator's processors.
type FirmwareKeeper interface {
	Firmware() Firmware
	// ImportFirmware takes the images out of an archive of the vendor's
	// sources, for the next start of the concentrator. An error of type
	// *FirmwareError is the archive's matter: nothing has changed.
	ImportFirmware(archive io.Reader) error
}

// Firmware is what the concentrator's processors run.
type Firmware struct {
	Dir      string          `json:"dir"`
	Writable string          `json:"writable"` // "", or why it can't be changed from here
	Images   []FirmwareImage `json:"images"`
}

// FirmwareImage is one of the files.
type FirmwareImage struct {
	File  string `json:"file"`
	Runs  string `json:"runs"`  // what it does
	Fault string `json:"fault"` // "" if it is there and known
}

// FirmwareError is what is wrong with an archive of firmware.
type FirmwareError struct{ Err error }

func (e *FirmwareError) Error() string { return e.Err.Error() }
func (e *FirmwareError) Unwrap() error { return e.Err }

// maxFirmware bounds the archive: the vendor's release has 1 MB.
const maxFirmware = 32 << 20

func (s *Server) firmware(f func(*call, FirmwareKeeper) (reply, error)) func(*call) (reply, error) {
	return s.machine(func(c *call, m Machine) (reply, error) {
		k, ok := m.(FirmwareKeeper)
		if !ok {
			return reply{}, errNoMachine
		}
		return f(c, k)
	})
}

func getFirmware(_ *call, k FirmwareKeeper) (reply, error) {
	return reply{http.StatusOK, map[string]Firmware{"firmware": k.Firmware()}}, nil
}

func (s *Server) importFirmware(c *call, k FirmwareKeeper) (reply, error) {
	if why := k.Firmware().Writable; why != "" {
		return reply{}, &problem{http.StatusConflict, codeForbidden, "", why}
	}
	err := k.ImportFirmware(http.MaxBytesReader(c.w, c.file, maxFirmware))
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return reply{}, &problem{http.StatusRequestEntityTooLarge, codeTooLarge, "", fmt.Sprintf("the archive is larger than the %d MiB that are allowed: the vendor's release has 1 MB", large.Limit>>20)}
	}
	if wrong, ok := errors.AsType[*FirmwareError](err); ok {
		return reply{}, &problem{http.StatusUnprocessableEntity, codeBadField, "", wrong.Error()}
	}
	if err != nil {
		return reply{}, err
	}
	s.log.Info("firmware imported", slog.String("key", c.key.ID))
	return getFirmware(c, k)
}
