package traffic

import "sync/atomic"

// An Endpoint is one instance of a service. It is shared by everything that routes to it and lives as
// long as the configuration that names it.
type Endpoint struct {
	Addr string // host:port
	Lane Color  // lane the instance belongs to; empty is the baseline

	// DownUntil is the Unix nanosecond until which the instance counts as unhealthy. A forwarder moves
	// it forward when it cannot connect; 0 is healthy.
	DownUntil atomic.Int64
}

// Healthy reports whether e may be chosen at now, in Unix nanoseconds.
func (e *Endpoint) Healthy(now int64) bool { return e.DownUntil.Load() <= now }
