package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// adminSocket is the file in the state folder on which a running daemon
// takes the commands of its own machine. Who may open it has every right:
// its mode is 0600.
const adminSocket = "admin.sock"

// adminTimeout bounds reading a request's header and answering it.
const adminTimeout = 30 * time.Second

// transferTimeout bounds an import, an export or a backup.
const transferTimeout = 10 * time.Minute

// listenAdmin makes the admin socket in dir, in place of one that a killed
// daemon left behind. The caller holds the store's lock, so that no other
// daemon uses the folder.
func listenAdmin(dir string) (net.Listener, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	old := syscall.Umask(0o177) // created as 0600, never wider for a moment
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("admin socket in %s: %w", dir, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // path may be a detour
	return &adminListener{l, filepath.Join(dir, adminSocket)}, nil
}

// adminListener removes its socket at the end.
type adminListener struct {
	net.Listener
	path string
}

func (l *adminListener) Close() error {
	err := l.Listener.Close()
	if rerr := os.Remove(l.path); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// socketPath is the admin socket's path for bind and connect. Linux takes
// 107 characters; a longer one goes by an open descriptor of its folder,
// which done closes.
func socketPath(dir string) (path string, done func(), err error) {
	const longest = 107
	path = filepath.Join(dir, adminSocket)
	if len(path) <= longest {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), adminSocket), func() { f.Close() }, nil
}

// errNoDaemon says that nobody serves the admin socket.
var errNoDaemon = errors.New("no daemon runs on this state folder")

// dialAdmin reaches the running daemon; the error wraps errNoDaemon if there
// is none.
func dialAdmin(ctx context.Context, dir string) (*api, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		path, done, err := socketPath(dir)
		if err != nil {
			return nil, err
		}
		defer done()
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, errNoDaemon
	case err != nil:
		return nil, fmt.Errorf("admin socket in %s: %w", dir, err)
	}
	conn.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	return &api{
		http:  &http.Client{Transport: transport, Timeout: adminTimeout},
		close: func() error { transport.CloseIdleConnections(); return nil },
	}, nil
}

// adminEnd is what open requests have to finish at the end.
const adminEnd = 3 * time.Second

// serveAdmin answers on l until ctx ends, then lets open requests finish
// within adminEnd: the one that ends the daemon is among them.
func serveAdmin(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: adminTimeout}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("admin socket: %w", err)
	case <-ctx.Done():
	}
	polite, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminEnd)
	defer cancel()
	if err := srv.Shutdown(polite); errors.Is(err, context.DeadlineExceeded) {
		_ = srv.Close() // what is still open had its time
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin socket: %w", err)
	}
	return nil
}
