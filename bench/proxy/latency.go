package main

import (
	"context"

	"github.com/redlane/redlane/bench/internal/lab"
)

// oneCore is the latency of one connection with client, proxy and backend on one core. Between two cores of a
// virtual machine each hop pays a wake-up of some 35 us that has nothing to do with the proxy.
func (b *bench) oneCore(ctx context.Context, r *lab.Report) error {
	at := lab.Place{Proxy: lab.CoreOfProxy, Rest: lab.CoreOfProxy}
	c, err := b.Compare(ctx, append([]lab.Contestant{direct}, peers...), 1, at, b.few)
	if err != nil {
		return err
	}
	r.Table("1 connection, everything on one core", c, haproxy.Name)
	return nil
}
