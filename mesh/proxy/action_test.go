package proxy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// does is a filter with one answer.
type does struct {
	halves
	action traffic.Action
}

func (d *does) Request(x *traffic.Exchange) traffic.Action {
	d.halves.Request(x)
	return d.action
}

func TestWaitIsNeverEarly(t *testing.T) {
	d := &does{action: traffic.Action{Wait: 50 * time.Millisecond}}
	f, r := startFake(t, slot(proxy.Fault, d))
	c := f.accept()
	c.data(ask)
	f.pass(50*time.Millisecond - 1)
	require.Empty(t, f.dialled)
	f.event(func(h engine.Handler) { h.OnTimer(c.h) }) // a driver's timer that fires early changes nothing
	require.Empty(t, f.dialled)
	f.pass(1)
	u := f.upstream(0)
	u.data(answer)
	require.Equal(t, answer, c.take())
	require.GreaterOrEqual(t, r.halves.wait(t, 1)[0].latency, 50*time.Millisecond)

	c.data(ask) // a client may leave meanwhile
	c.broken()
	require.Equal(t, traffic.FlagDownstreamClosed, r.halves.wait(t, 2)[1].flags)
	f.pass(time.Second)
	d.balanced(t)
}

func TestWaitThenReply(t *testing.T) {
	d := &does{action: traffic.Action{Wait: 10 * time.Millisecond, Reply: traffic.Reply{Status: 418, Body: "no\n", Flag: traffic.FlagFaultInjected}}}
	below := &halves{}
	b := &bodies{}
	f, r := startFake(t, slot(proxy.Tap, b), slot(proxy.Fault, d), slot(proxy.Fault, below))
	c := f.accept()
	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" + ask)
	require.Empty(t, c.take())
	f.pass(10 * time.Millisecond)
	require.Contains(t, c.take(), "HTTP/1.1 418 ")
	f.pass(10 * time.Millisecond)
	require.Contains(t, c.take(), "HTTP/1.1 418 ", "the body had come, so that the connection goes on")
	require.False(t, c.fin)
	x := r.halves.wait(t, 2)[0]
	require.Equal(t, traffic.FlagFaultInjected, x.flags)
	require.Equal(t, 418, x.status)
	require.Equal(t, "body", b.in.String())
	require.Equal(t, "no\nno\n", b.out.String())
	require.Zero(t, below.requests.Load()+below.responses.Load(), "below the one that replied")
	require.Empty(t, f.dialled)
	d.balanced(t)

	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo") // a body still on its way costs the connection
	f.pass(10 * time.Millisecond)
	require.Contains(t, c.take(), "Connection: close\r\n")
	require.True(t, c.fin)
}

func TestReset(t *testing.T) {
	d := &does{action: traffic.Action{Wait: time.Millisecond, Reset: true}}
	f, r := startFake(t, slot(proxy.Fault, d))
	c := f.accept()
	c.data(ask)
	f.pass(time.Millisecond - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.wasRST)
	require.Empty(t, c.take())
	require.Zero(t, r.halves.wait(t, 1)[0].status)
	d.balanced(t)
}

func TestSlotsOfOneService(t *testing.T) {
	mine, other := &halves{}, &halves{}
	f, _ := startFake(t, func(c *proxy.Config) {
		c.Slots = append(c.Slots, proxy.Slot{Name: "mine", Service: "s", Filter: mine}, proxy.Slot{Name: "other", Service: "t", Filter: other})
	})
	c := f.accept()
	c.data(ask)
	f.upstream(0).data(answer)
	require.Equal(t, int64(1), mine.responses.Load())
	require.Zero(t, other.responses.Load())
}

// Listeners are opened before their configuration is in force. Who connects in between waits for it.
func TestConnectionsOlderThanTheirConfiguration(t *testing.T) {
	f, r := startFake(t)
	next := f.tags["127.0.0.1:1"] + 1
	f.tags["127.0.0.1:1"] = next
	c, left := f.accept(), f.accept()
	require.True(t, c.paused)
	left.broken()
	require.NoError(t, r.Reload(&mesh.Config{Services: map[string]*mesh.Service{"t": {Listen: "127.0.0.1:7", Endpoints: []string{"127.0.0.1:2"}}}}))
	require.False(t, c.paused)
	c.data(ask)
	f.upstream(0).data(answer)
	require.Equal(t, answer, c.take())
	require.Equal(t, "t", r.halves.wait(t, 1)[0].dst)
	// And who waited at the one that is gone is served as before, and told that this was all.
	f.tags["127.0.0.1:1"] = next - 1
	late := f.accept()
	late.data(ask)
	f.upstream(0).data(answer)
	require.Contains(t, late.take(), "Connection: close")
	require.True(t, late.closed)
	require.Equal(t, "s", r.halves.wait(t, 2)[1].dst)
	f.tags["127.0.0.1:1"] = next - 2
	require.True(t, f.accept().wasRST, "through a listener that never was")
}
