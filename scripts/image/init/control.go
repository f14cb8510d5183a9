package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// controlSocket is where the daemon, and nobody else, asks for what it may
// not do itself. Updates are believed for their signature, not for who
// brings them.
const controlSocket = "/run/appliance.sock"

// state is what GET /status answers.
type state struct {
	Version string `json:"version"`
	Kernel  string `json:"kernel"`
	Slot    int    `json:"slot"`
	Trial   bool   `json:"trial"` // this version is not kept yet
}

func serveControl(s *slot, log *slog.Logger) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_, running := s.number()
		reply(w, state{version, release(), running, s.onTrial()}, nil)
	})
	mux.HandleFunc("PUT /update", func(w http.ResponseWriter, r *http.Request) {
		m, err := s.update(r.Body)
		if err != nil {
			log.Warn("update refused", "err", err)
		}
		reply(w, m, err)
		if err == nil {
			go restart(log, "update to "+m.Version)
		}
	})
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		err := withCard(s.disk, true, func(dir string) error {
			return os.WriteFile(dir+"/"+cardReset, nil, 0o600)
		})
		reply(w, struct{}{}, err)
		if err == nil {
			go restart(log, "reset to factory")
		}
	})
	mux.HandleFunc("POST /restart", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, struct{}{}, nil)
		go restart(log, "asked for")
	})
	l, err := net.Listen("unix", controlSocket)
	if err == nil {
		err = errors.Join(os.Chown(controlSocket, 0, user), os.Chmod(controlSocket, 0o660)) //nolint:gosec // the daemon's group
	}
	if err != nil {
		log.Error("the daemon can't ask for updates", "err", err)
		return
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Minute}
	log.Error("control", "err", srv.Serve(l))
}

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		v = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(v)
}
