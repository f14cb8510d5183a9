package air

import (
	"context"
	"log/slog"
	"net"
)

// Serve speaks the air protocol (docs/air.md) with every client of l until
// ctx ends.
func Serve(ctx context.Context, l net.Listener, m *Medium, log *slog.Logger) error {
	<-ctx.Done()
	return l.Close()
}
