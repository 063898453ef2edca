package main

import (
	"context"
	"fmt"

	"github.com/redlane/redlane/bench/internal/lab"
)

// peers take part at every level, the others where a figure asks for them.
var peers = []lab.Contestant{haproxy, nginx, lab.Bare, lab.Full, lab.Record}

// level compares the proxies at a number of connections.
func (b *bench) level(ctx context.Context, conns int) (lab.Comparison, error) {
	all := peers
	if conns == 64 {
		all = append([]lab.Contestant{direct}, all...)
		if why := b.trySockmap(ctx); why == "" {
			all = append(all, sockmap)
		} else {
			fmt.Printf("  left out: sockmap: %s\n", why)
		}
	}
	return b.Compare(ctx, all, conns, lab.TwoCores, b.rounds)
}

// trySockmap starts redlane with sockmap once, and says why that does not work here.
func (b *bench) trySockmap(ctx context.Context) (why string) {
	if !b.Knows("sockmap") {
		return "this build has no --sockmap"
	}
	r, err := sockmap.Start(ctx, b.Lab, lab.CoreOfProxy)
	if err != nil {
		return err.Error()
	}
	if err := b.Stop(r.Proc); err != nil {
		return err.Error()
	}
	return ""
}
