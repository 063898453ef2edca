package proxy

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A target is one address as one loop sees it, and the idle connections to it. The one used last is used
// next, so that those not needed at the present load grow old and are closed.
type target struct {
	loop     *loop
	addr     string
	addrPort netip.AddrPort // zero for a unix socket
	tls      *tls.Config    // nil: plain
	idle     []*upstream
	keep     time.Duration // how long one is kept that nobody waits for any more
	failures int           // to connect, in a row
	retired  bool          // no configuration names it any more
}

// maxIdle bounds the idle connections of one loop to one address.
const maxIdle = 1024

// A targetKey tells apart what must not share connections: an address spoken to in clear, or in one
// service's TLS.
type targetKey struct {
	addr   string
	origin *origin
}

// target finds the loop's target for an endpoint, of the current or an older generation.
func (l *loop) target(ep *traffic.Endpoint, o *origin) *target {
	if t := l.byEp[ep]; t != nil {
		return t
	}
	k := targetKey{ep.Addr, o}
	t := l.targets[k]
	if t == nil {
		t = &target{loop: l, addr: ep.Addr, addrPort: addrPort(ep.Addr), tls: o.config(ep.Addr), retired: !l.gen.addrs[k]}
		if !t.retired {
			l.targets[k] = t
		}
	}
	if !t.retired {
		l.byEp[ep] = t
	}
	return t
}

// dial begins to open a connection; nil when the engine is stopping.
func (t *target) dial(timeout, keep time.Duration) *upstream {
	t.keep = keep
	h := t.open(timeout)
	if h == 0 {
		return nil
	}
	u := &upstream{loop: t.loop, h: h, target: t}
	t.loop.add(h, u)
	return u
}

// take is the idle connection used last, or nil.
func (t *target) take() *upstream {
	n := len(t.idle)
	if n == 0 {
		return nil
	}
	u := t.idle[n-1]
	t.idle[n-1] = nil
	t.idle = t.idle[:n-1]
	t.loop.stats.idle.Add(-1)
	return u
}

// put keeps u for the next exchange, for so long.
func (t *target) put(u *upstream, keep time.Duration) {
	if t.retired || u.paused || len(t.idle) == maxIdle {
		u.close()
		return
	}
	u.used = true
	t.idle = append(t.idle, u)
	t.loop.stats.idle.Add(1)
	t.loop.Arm(u.h, keep)
}

// remove takes an idle connection out that has ended or grown old.
func (t *target) remove(u *upstream) {
	if i := slices.Index(t.idle, u); i >= 0 {
		t.idle = slices.Delete(t.idle, i, i+1)
		t.loop.stats.idle.Add(-1)
	}
}

// retire closes what is idle and keeps nothing more.
func (t *target) retire() {
	t.retired = true
	for u := t.take(); u != nil; u = t.take() {
		u.close()
	}
}

// unopened follows a connection that could not be opened.
func (t *target) unopened(u *upstream) {
	t.loop.stats.connectFailures.Add(1)
	x := u.x
	if x == nil {
		return
	}
	x.up, u.x = nil, nil
	t.failed(x)
	x.session.unconnected()
}
