package proxy_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// grip is a lease: held until it is let go.
type grip struct {
	over  atomic.Bool
	asked atomic.Int64
}

func (g *grip) Over() bool {
	g.asked.Add(1)
	return g.over.Load()
}

func harmed(h traffic.Harm) *does { return &does{action: traffic.Action{Harm: &h}} }

func TestHoleLastsUntilTheClientLeaves(t *testing.T) {
	f, r := startFake(t, slot(proxy.Fault, harmed(traffic.Harm{Hole: true})))
	c := f.accept()
	c.data(ask + "and more, which nobody will read")
	f.pass(time.Hour)
	require.Empty(t, c.take())
	require.Empty(t, f.dialled)
	require.False(t, c.closed || c.paused)
	c.data(string(make([]byte, 1<<20)))
	require.False(t, c.paused, "what nobody wants fills no memory")
	c.eof()
	require.True(t, c.closed)
	require.Equal(t, traffic.FlagDownstreamClosed, r.halves.wait(t, 1)[0].flags)

	c = f.accept()
	c.data(ask)
	c.broken()
	require.Equal(t, traffic.FlagDownstreamClosed, r.halves.wait(t, 2)[1].flags)
}

// A fault whose lease ends lets go of what it holds, within a look, and leaves no trace.
func TestWhatIsHeldGoesOnWhenTheGripIsOver(t *testing.T) {
	f := func(name string, a traffic.Action) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g := &grip{}
			h := traffic.Harm{}
			if a.Harm != nil {
				h = *a.Harm
			}
			h.Grip = g
			a.Harm = &h
			below := &halves{}
			f, r := startFake(t, slot(proxy.Fault, &does{action: a}), slot(proxy.Fault, below))
			c := f.accept()
			c.data(ask)
			f.pass(900 * time.Millisecond)
			require.Empty(t, f.dialled)
			require.GreaterOrEqual(t, g.asked.Load(), int64(8))
			g.over.Store(true)
			f.pass(100 * time.Millisecond)
			f.upstream(0).data(answer)
			require.Equal(t, answer, c.take())
			require.Equal(t, int64(1), below.responses.Load())
			require.Zero(t, r.halves.wait(t, 1)[0].flags)
		})
	}
	f("wait", traffic.Action{Wait: time.Hour})
	f("wait, then reply", traffic.Action{Wait: time.Hour, Reply: traffic.Reply{Status: 503}})
	f("wait, then reset", traffic.Action{Wait: time.Hour, Reset: true})
	f("hole", traffic.Action{Harm: &traffic.Harm{Hole: true}})
	f("wait, then hole", traffic.Action{Wait: 200 * time.Millisecond, Harm: &traffic.Harm{Hole: true}})
}

func TestGripChangesNoWait(t *testing.T) {
	f, _ := startFake(t, slot(proxy.Fault, &does{action: traffic.Action{Wait: 250 * time.Millisecond, Harm: &traffic.Harm{Grip: &grip{}}}}))
	c := f.accept()
	c.data(ask)
	f.pass(250*time.Millisecond - 1)
	require.Empty(t, f.dialled)
	f.pass(1)
	require.Len(t, f.dialled, 1)
}

func TestReplyHasHeaders(t *testing.T) {
	headers := []traffic.Header{
		{Name: []byte("Content-Type"), Value: []byte("application/grpc")},
		{Name: []byte("grpc-status"), Value: []byte("14")},
		{Name: []byte("Content-Length"), Value: []byte("999")},
		{Name: []byte("bad"), Value: []byte("a\r\nb: c")},
	}
	f, r := startFake(t, slot(proxy.Fault, &does{action: traffic.Action{
		Reply: traffic.Reply{Status: 200, Body: "no\n"}, Harm: &traffic.Harm{Headers: headers},
	}}))
	c := f.accept()
	c.data(ask)
	require.Equal(t, "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 14\r\nContent-Length: 3\r\n\r\nno\n", c.take())
	require.Equal(t, 200, r.halves.wait(t, 1)[0].status)
}

func TestConnect(t *testing.T) {
	two := func(c *proxy.Config) { c.Mesh.Services["s"].Endpoints = []string{"127.0.0.1:2", "127.0.0.1:3"} }
	f := func(connect traffic.Connect, edits ...edit) (*fake, *rig, *fakeConn) {
		f, r := startFake(t, append(edits, two, slot(proxy.Fault, harmed(traffic.Harm{Connect: connect})))...)
		c := f.accept()
		if len(edits) == 0 {
			c.data(ask)
		}
		return f, r, c
	}
	_, r, c := f(traffic.ConnectRefused)
	require.Contains(t, c.take(), "HTTP/1.1 503 ")
	require.Equal(t, traffic.FlagUpstreamConnect, r.halves.wait(t, 1)[0].flags)
	require.Contains(t, metrics(t, r), `redlane_endpoint_up{endpoint="127.0.0.1:2",lane="baseline",service="s"} 1`)

	fk, r, c := f(traffic.ConnectStalled)
	fk.pass(time.Second - 1)
	require.Empty(t, c.take())
	fk.pass(1)
	require.Contains(t, c.take(), "HTTP/1.1 503 ")
	require.Empty(t, fk.dialled, "no other instance is tried")
	require.Equal(t, traffic.FlagUpstreamConnect, r.halves.wait(t, 1)[0].flags)
	c.data(ask)
	c.broken() // meanwhile
	require.Equal(t, traffic.FlagDownstreamClosed, r.halves.wait(t, 2)[1].flags)
	fk.pass(time.Minute)

	_, _, c = f(traffic.ConnectUnnamed)
	require.Contains(t, c.take(), "could not be resolved")

	_, r, c = f(traffic.ConnectRefused, opaque)
	require.True(t, c.wasRST)
	require.Equal(t, traffic.FlagOpaque|traffic.FlagUpstreamConnect, r.halves.wait(t, 1)[0].flags)
}

// A connection that is open already is no way around the fault.
func TestConnectIsForKeptConnectionsToo(t *testing.T) {
	d := &does{}
	g := &grip{}
	f, _ := startFake(t, slot(proxy.Fault, d))
	c := f.accept()
	c.data(ask)
	f.upstream(0).data(answer)
	require.Equal(t, answer, c.take())
	require.NotEmpty(t, f.upstream(0).take())
	d.action.Harm = &traffic.Harm{Connect: traffic.ConnectStalled, Grip: g}
	c.data(ask)
	f.pass(500 * time.Millisecond)
	require.Empty(t, f.upstream(0).take())
	g.over.Store(true)
	f.pass(100 * time.Millisecond)
	f.upstream(0).data(answer)
	require.Equal(t, answer, c.take(), "the grip was over")
	c.data(ask)
	f.upstream(0).data(answer)
	require.Equal(t, answer, c.take(), "it is over for all")
}
