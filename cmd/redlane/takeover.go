package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/handover"
	"github.com/redlane/redlane/mesh/proxy"
)

// A takeover is the flag of that name: a restart in which no request is lost. The zero value does nothing.
//
//	ask at the path ─► sockets, or none: start cold ─► serve ─► the other drains ─► wait there for the next
type takeover struct {
	path   string
	taking *handover.Taking // nil: cold
}

func (t *takeover) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.path, "takeover", "", "unix socket for restarts: take over from whoever answers there, then answer there")
}

// ask is called before anything is opened.
func (t *takeover) ask(ctx context.Context) (err error) {
	if t.path != "" {
		if t.taking, err = handover.Take(ctx, t.path, clock.System); err != nil {
			return runError("%w", err)
		}
	}
	return nil
}

// close gives back what was not taken over.
func (t *takeover) close() {
	if t.taking != nil {
		t.taking.Close()
	}
}

// sockets are for the proxy to go on with.
func (t *takeover) sockets() handover.Sockets {
	if t.taking == nil {
		return nil
	}
	return t.taking.Sockets
}

// run runs p, which takes over as soon as it serves and waits for who takes over from it.
func (t *takeover) run(ctx context.Context, p *proxy.Proxy, logs io.Writer) error {
	if t.path == "" {
		return p.Run(ctx)
	}
	next := handover.Config{Path: t.path, Taken: t.taking, Owner: p, Clock: clock.System, Logger: slog.New(slog.NewTextHandler(logs, nil))}
	var door *handover.Door
	if t.taking == nil { // a mistake in the path shows at once
		var err error
		if door, err = handover.Open(next); err != nil {
			return errors.Join(err, p.Close())
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	waited := make(chan error, 1)
	go func() {
		err := t.wait(ctx, p, door, next)
		if err != nil {
			stop() // the other serves: there must not be two
		}
		waited <- err
	}()
	err := p.Run(ctx)
	stop()
	return errors.Join(err, <-waited)
}

func (t *takeover) wait(ctx context.Context, p *proxy.Proxy, door *handover.Door, next handover.Config) (err error) {
	select {
	case <-p.Serving():
	case <-ctx.Done(): // the door is still to be closed
	}
	if t.taking != nil && ctx.Err() == nil {
		if err := t.taking.Serving(p.Taken()); err != nil {
			return err
		}
		next.Logger.Info("took over", "path", t.path, "listeners", len(p.Taken()))
		if door, err = handover.Open(next); err != nil {
			next.Logger.Error("nobody will be able to take over", "error", err) // the other has gone: this one must stay
		}
		t.close()
	}
	if door == nil {
		return nil
	}
	return door.Run(ctx)
}
