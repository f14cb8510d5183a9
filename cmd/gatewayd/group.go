package main

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// runAll runs everything until ctx ends or the first one fails.
func runAll(ctx context.Context, run []func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { <-ctx.Done(); return ctx.Err() }) // also if there is nothing to run
	for _, r := range run {
		group.Go(func() error { return r(ctx) })
	}
	return group.Wait()
}
