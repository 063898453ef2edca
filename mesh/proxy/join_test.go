package proxy_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// A joiner is the fake engine with the ability to join connections. A test says what they move.
type joiner struct {
	*fake
	refuse bool
	pairs  [][2]engine.Handle
	moved  map[engine.Handle]uint64
}

func (j *joiner) Join(a, b engine.Handle) bool {
	if j.refuse {
		return false
	}
	for _, h := range []engine.Handle{a, b} {
		if j.get(h).paused || j.get(h).closed {
			j.t.Error("joined a connection that is paused or closed")
		}
	}
	j.pairs = append(j.pairs, [2]engine.Handle{a, b})
	return true
}

func (j *joiner) Moved(h engine.Handle) uint64 { return j.moved[h] }

// over ends the last pair as an engine does: OnClosed for both.
func (j *joiner) over(err error) {
	p := j.pairs[len(j.pairs)-1]
	for _, h := range p {
		j.get(h).closed = true
		j.event(func(eh engine.Handler) { eh.OnClosed(h, err) })
		delete(j.moved, h)
	}
}

func startJoiner(t testing.TB, edits ...edit) (*joiner, *rig) {
	j := &joiner{moved: make(map[engine.Handle]uint64)}
	wrap := func(c *proxy.Config) {
		inner := c.NewDriver
		c.NewDriver = func(h engine.NewHandler) (engine.Driver, error) {
			return inner(func(l engine.Loop) engine.Handler {
				j.fake = l.(*fake)
				return h(j)
			})
		}
	}
	_, r := startFake(t, append([]edit{wrap}, edits...)...)
	return j, r
}

func TestStreamsAreJoined(t *testing.T) {
	j, r := startJoiner(t, opaque)
	c := j.accept()
	c.data("early")
	require.Empty(t, j.pairs)
	u := j.upstream(0)
	require.Equal(t, [][2]engine.Handle{{c.h, u.h}}, j.pairs)
	require.Equal(t, "early", u.take(), "before the rest")
	j.moved[c.h], j.moved[u.h] = 1000, 2000
	j.pass(2 * time.Second)
	require.Contains(t, metrics(t, r), `redlane_tcp_bytes_total{caller="",direction="in",lane="baseline",lane_resolved="baseline",service="s"} 1005`+"\n", "counted while it is open")
	j.moved[c.h], j.moved[u.h] = 1001, 2002
	j.over(io.EOF)
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, traffic.FlagOpaque, x.flags)
	require.Equal(t, int64(1006), x.in)
	require.Equal(t, int64(2002), x.out)
	require.Zero(t, r.Active())
	require.Contains(t, metrics(t, r), "redlane_connections_open 0\n")

	j.accept()
	j.upstream(1)
	j.over(errors.New("reset by peer"))
	require.Equal(t, traffic.FlagOpaque|traffic.FlagDownstreamClosed, r.halves.wait(t, 2)[1].flags)
}

func TestUpgradesAreJoined(t *testing.T) {
	j, r := startJoiner(t)
	c := j.accept()
	c.data("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	u := j.upstream(0)
	u.data("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
	require.Equal(t, [][2]engine.Handle{{c.h, u.h}}, j.pairs)
	require.Contains(t, u.take(), "early")
	j.moved[c.h], j.moved[u.h] = 10, 20
	j.over(errors.New("reset by peer")) // the usual way for a browser to leave
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, traffic.FlagUpgraded, x.flags)
	require.Equal(t, int64(10+len("early")), x.in)
	require.Equal(t, int64(20+len("hello")), x.out)
}

// Joined connections have no events by which to notice that nothing moves: they are looked at.
func TestIdleJoinedConnectionsAreClosed(t *testing.T) {
	j, r := startJoiner(t, opaque) // idle: 5s
	c := j.accept()
	u := j.upstream(0)
	for range 5 {
		j.moved[u.h]++
		j.pass(4 * time.Second)
		require.False(t, c.closed)
	}
	j.pass(3 * time.Second)
	require.True(t, c.closed && u.closed)
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, int64(5), x.out)
	require.Equal(t, traffic.FlagOpaque, x.flags)
}

func TestWhatIsNotJoined(t *testing.T) {
	j, _ := startJoiner(t, opaque)
	c := j.accept()
	c.eof() // its end has been told already, and would not be told again
	require.True(t, j.upstream(0).fin)
	require.Empty(t, j.pairs)

	j.refuse = true
	c = j.accept()
	u := j.upstream(1)
	c.data("by hand")
	require.Equal(t, "by hand", u.take())
	u.data("as ever")
	require.Equal(t, "as ever", c.take())
}

// A client that sent more than is kept before the service was there has been paused.
func TestPausedConnectionsAreResumedFirst(t *testing.T) {
	j, _ := startJoiner(t, opaque)
	c := j.accept()
	c.data(string(make([]byte, 100<<10)))
	require.True(t, c.paused)
	j.room = 1 // and the service does not take it at once
	j.upstream(0)
	require.Len(t, j.pairs, 1)
	require.False(t, c.paused)
}
