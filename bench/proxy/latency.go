package main

import "context"

// oneCore is the latency of one connection with client, proxy and backend on one core. Between two cores of a
// virtual machine each hop pays a wake-up of some 35 us that has nothing to do with the proxy.
func (b *bench) oneCore(ctx context.Context, r *report) error {
	at := place{proxy: coreOfProxy, rest: coreOfProxy}
	c, err := b.compare(ctx, append([]contestant{direct}, peers...), 1, at, b.few)
	if err != nil {
		return err
	}
	r.table("1 connection, everything on one core", c)
	return nil
}
