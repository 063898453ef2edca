package proxy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/traffic"
)

const (
	ask    = "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\n\r\n"
	answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)

// Every phase ends in time: just before, nothing has happened; just after, it has.

func TestIdleClientsAreClosed(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	f.pass(5*time.Second - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.closed)
	require.Empty(t, c.take())

	c = f.accept() // and between two requests
	c.data(ask)
	f.pass(time.Second)
	f.upstream(0).data(answer)
	require.Equal(t, answer, c.take())
	f.pass(5*time.Second - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.closed)
	require.Contains(t, metrics(t, r), `redlane_connections_closed_total{reason="idle"} 2`)
}

// Clients that leave in the middle of a head have no exchange to be counted by.
func TestClientsThatLeavePartway(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data("GET / HT")
	c.eof()
	require.True(t, c.closed)
	c = f.accept()
	c.data("GET / HT")
	c.broken()
	c = f.accept()
	c.data("\r\n")
	c.eof()
	f.accept().broken()
	require.Contains(t, metrics(t, r), `redlane_connections_closed_total{reason="partway"} 2`)
}

func TestSlowHeads(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	f.pass(time.Second)
	for _, part := range []string{"GE", "T / HT", "TP/1.1\r\n"} { // no byte gives it more time
		c.data(part)
		f.pass(time.Second / 2)
	}
	require.Empty(t, c.take())
	f.pass(time.Second/2 - 1)
	require.Empty(t, c.take())
	f.pass(1)
	require.Contains(t, c.take(), "HTTP/1.1 408 ")
	require.True(t, c.fin)
	f.pass(time.Second) // lingers, in case the client is still sending
	require.True(t, c.closed)
	require.Zero(t, r.halves.requests.Load(), "no exchange has begun")
}

func TestSlowRequestBodies(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n1")
	u := f.upstream(0)
	f.pass(3*time.Second - 1)
	c.data("2")
	f.pass(3*time.Second - 1)
	require.Empty(t, c.take())
	require.False(t, u.closed)
	f.pass(1)
	require.Contains(t, c.take(), "HTTP/1.1 408 ")
	require.True(t, u.closed)
	require.True(t, r.halves.wait(t, 1)[0].flags.Has(traffic.FlagDownstreamTimeout))
}

func TestSlowServices(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	f.pass(4*time.Second - 1)
	require.Empty(t, c.take())
	f.pass(1)
	require.Contains(t, c.take(), "HTTP/1.1 504 ")
	require.False(t, c.fin, "the client did nothing wrong")
	require.True(t, u.closed)
	require.Equal(t, traffic.FlagUpstreamTimeout, r.halves.wait(t, 1)[0].flags)
}

func TestResponsesThatStop(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n1")
	f.pass(4*time.Second - 1)
	u.data("2")
	f.pass(4*time.Second - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.closed)
	require.True(t, u.closed)
	require.Equal(t, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n12", c.take())
	require.Equal(t, traffic.FlagUpstreamTimeout, r.halves.wait(t, 1)[0].flags)
}

func TestClientsThatDoNotRead(t *testing.T) {
	f, r := startFake(t)
	f.room = 1
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
	for !u.paused {
		u.data(string(make([]byte, 10000)))
	}
	require.Less(t, c.most, 80000)
	f.pass(3*time.Second - 1)
	c.drain()
	require.False(t, u.paused)
	for !u.paused {
		u.data(string(make([]byte, 10000)))
	}
	f.pass(3*time.Second - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.wasRST)
	require.True(t, u.closed)
	require.Equal(t, traffic.FlagDownstreamTimeout, r.halves.wait(t, 1)[0].flags)
}

// While the client is slow, the service is not late.
func TestSlowClientsAreNotTheServicesFault(t *testing.T) {
	f, r := startFake(t, timeouts(func(t *mesh.Timeouts) { t.Request = time.Minute }))
	f.room = 1
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
	u.data(string(make([]byte, 99_999)))
	require.True(t, u.paused)
	f.pass(59 * time.Second)
	require.False(t, c.closed)
	c.drain()
	f.pass(4*time.Second - 1)
	require.False(t, c.closed)
	f.pass(1) // now it is
	require.Equal(t, traffic.FlagUpstreamTimeout, r.halves.wait(t, 1)[0].flags)
}

func TestClientsThatDoNotReadTheEnd(t *testing.T) {
	f, r := startFake(t)
	f.room = 1
	c := f.accept()
	c.data(ask)
	f.upstream(0).data(answer)
	f.pass(3*time.Second - 1)
	require.Zero(t, r.halves.responses.Load(), "the kernel does not have it yet")
	f.pass(1)
	require.True(t, c.wasRST)
	require.Equal(t, traffic.FlagDownstreamTimeout, r.halves.wait(t, 1)[0].flags)
}

func TestServicesThatDoNotRead(t *testing.T) {
	f, r := startFake(t)
	f.room = 1
	c := f.accept()
	c.data("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
	u := f.upstream(0)
	for !c.paused {
		c.data(string(make([]byte, 10000)))
	}
	require.Less(t, u.most, 80000)
	f.pass(4*time.Second - 1)
	u.drain()
	require.False(t, c.paused)
	for !c.paused {
		c.data(string(make([]byte, 10000)))
	}
	f.pass(4*time.Second - 1)
	require.False(t, u.closed)
	f.pass(1)
	require.True(t, u.closed)
	c.drain()
	require.Contains(t, c.take(), "HTTP/1.1 504 ")
	require.Equal(t, traffic.FlagUpstreamTimeout, r.halves.wait(t, 1)[0].flags)
}

func TestPooledConnectionsGrowOld(t *testing.T) {
	f, _ := startFake(t)
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	u.data(answer)
	f.pass(4 * time.Second)
	c.data(ask)
	u.data(answer)
	require.Len(t, f.dialled, 1, "used again")
	f.pass(4*time.Second + 999*time.Millisecond) // the client is idle less than 5s, the connection less than 6s
	require.False(t, u.closed)
	f.pass(1001 * time.Millisecond)
	require.True(t, u.closed)
}

func TestIdleTunnelsAreClosed(t *testing.T) {
	f, r := startFake(t)
	c := f.accept()
	c.data("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	u := f.upstream(0)
	u.data("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	f.pass(5*time.Second - 1)
	u.data("x")
	f.pass(5*time.Second - 1)
	c.data("y")
	f.pass(5*time.Second - 1)
	require.False(t, c.closed)
	f.pass(1)
	require.True(t, c.closed)
	require.True(t, u.closed)
	require.Equal(t, traffic.FlagUpgraded, r.halves.wait(t, 1)[0].flags)
}
