package proxy

import "time"

// An instance that cannot be connected to rests, longer each time: a process that restarts is back within
// the first, a dead host is asked no more than every few seconds.
const (
	restFirst = 100 * time.Millisecond
	restMost  = 5 * time.Second
)

// rest is how long after so many failures in a row.
func rest(failures int) time.Duration {
	return min(restFirst<<min(failures-1, 10), restMost)
}

// failed takes the endpoint of x out of turn for a while.
func (t *target) failed(x *exchange) {
	t.failures++
	until := t.loop.Now().Add(rest(t.failures)).UnixNano()
	for down := &x.endpoint.DownUntil; ; {
		was := down.Load()
		if was >= until || down.CompareAndSwap(was, until) {
			return
		}
	}
}
