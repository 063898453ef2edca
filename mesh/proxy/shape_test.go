package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// shapes is a Shaper with one answer for each direction, which a test may change.
type shapes struct{ up, down traffic.Shape }

func (s *shapes) Shape(d traffic.Direction) traffic.Shape {
	if d == traffic.Upstream {
		return s.up
	}
	return s.down
}

const (
	post5 = "POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\nContent-Length: 5\r\n\r\n"
	wiki  = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
)

func shaped(t *testing.T, s *shapes, edits ...edit) (*fake, *rig, *fakeConn) {
	f, r := startFake(t, append(edits, slot(proxy.Fault, harmed(traffic.Harm{Shaper: s})))...)
	return f, r, f.accept()
}

func TestDelayOfAResponse(t *testing.T) {
	f, r, c := shaped(t, &shapes{down: traffic.Shape{Delay: 50 * time.Millisecond}})
	c.data(ask)
	u := f.upstream(0)
	u.data(wiki + "01234")
	f.pass(10 * time.Millisecond)
	u.data("56789")
	f.pass(40*time.Millisecond - 1)
	require.Empty(t, c.take())
	f.pass(1)
	require.Equal(t, wiki+"01234", c.take())
	f.pass(10*time.Millisecond - 1)
	require.Empty(t, c.take())
	f.pass(1)
	require.Equal(t, "56789", c.take())
	x := r.halves.wait(t, 1)[0]
	require.Equal(t, 60*time.Millisecond, x.latency)
	require.Equal(t, 50*time.Millisecond, x.first, "as the client sees it")
	require.EqualValues(t, 10, x.out)

	u.take()
	c.data(ask) // the connection to the service is kept
	require.Len(t, f.dialled, 1)
	require.NotEmpty(t, u.take())
}

// Who was held is not who may be kept.
func TestHeldConnectionsThatAreOfNoMoreUse(t *testing.T) {
	f := func(s traffic.Shape, behind func(u *fakeConn)) {
		t.Helper()
		f, r, c := shaped(t, &shapes{down: s})
		c.data(ask)
		u := f.upstream(0)
		behind(u)
		f.pass(50 * time.Millisecond)
		require.Equal(t, answer, c.take())
		require.Zero(t, r.halves.wait(t, 1)[0].flags)
		require.True(t, u.closed)
		c.data(ask)
		require.Len(t, f.dialled, 2)
	}
	for _, s := range []traffic.Shape{{Delay: 50 * time.Millisecond}, {Linger: 50 * time.Millisecond}} {
		f(s, func(u *fakeConn) { u.data(answer); u.eof() })
		f(s, func(u *fakeConn) { u.data(answer); u.data("HTTP/1.1 200 poison") })
		f(s, func(u *fakeConn) { u.data(answer + "HTTP/1.1 200 poison") })
	}
}

// Time that the Shaper takes is not the service's.
func TestDelayIsLongerThanAnyTimeout(t *testing.T) {
	f, r, c := shaped(t, &shapes{down: traffic.Shape{Delay: time.Minute}})
	c.data(ask)
	f.upstream(0).data(answer)
	f.pass(time.Minute)
	require.Equal(t, answer, c.take())
	require.Zero(t, r.halves.wait(t, 1)[0].flags)

	f, r, c = shaped(t, &shapes{up: traffic.Shape{Delay: time.Minute}})
	c.data(post5 + "hello")
	u := f.upstream(0)
	f.pass(time.Minute)
	require.Equal(t, post5+"hello", u.take())
	f.pass(4 * time.Second)
	require.Contains(t, c.take(), "HTTP/1.1 504 ", "from here on it is")
	require.Equal(t, traffic.FlagUpstreamTimeout, r.halves.wait(t, 1)[0].flags)
}

// The end of a response may be the end of its connection, which waits behind what came before it.
func TestDelayOfAnEnd(t *testing.T) {
	f, r, c := shaped(t, &shapes{down: traffic.Shape{Delay: 50 * time.Millisecond}})
	c.data(ask)
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\n\r\nbare")
	u.eof()
	f.pass(50*time.Millisecond - 1)
	require.False(t, c.fin)
	f.pass(1)
	require.Contains(t, c.take(), "\r\n\r\nbare")
	require.True(t, c.closed)
	require.Zero(t, r.halves.wait(t, 1)[0].flags)

	c = f.accept()
	c.data(ask)
	u = f.upstream(1)
	u.data(wiki + "0123")
	u.broken()
	require.Equal(t, wiki+"0123", c.take(), "nothing more will come")
	require.True(t, c.closed)
	require.Equal(t, traffic.FlagUpstreamClosed, r.halves.wait(t, 2)[1].flags)

	c = f.accept()
	c.data(ask)
	u = f.upstream(2)
	u.data(answer)
	u.broken()
	require.Equal(t, answer, c.take())
	c.data(ask)
	require.Len(t, f.dialled, 4, "and the connection is not kept")
}

func TestDelayOfARequest(t *testing.T) {
	f, r, c := shaped(t, &shapes{up: traffic.Shape{Delay: 50 * time.Millisecond}})
	c.data(post5 + "he")
	u := f.upstream(0)
	f.pass(10 * time.Millisecond)
	c.data("llo" + ask) // and one more behind it
	f.pass(40*time.Millisecond - 1)
	require.Empty(t, u.take())
	f.pass(1)
	require.Equal(t, post5+"he", u.take())
	f.pass(10 * time.Millisecond)
	require.Equal(t, "llo", u.take())
	u.data(answer)
	require.Equal(t, answer, c.take())
	f.pass(50 * time.Millisecond)
	require.Equal(t, ask, u.take())
	u.data(answer)
	require.Equal(t, answer, c.take())
	require.EqualValues(t, 5, r.halves.wait(t, 2)[0].in)

	c.data(ask) // a client that has said all there is to say has not given up
	c.eof()
	f.pass(50 * time.Millisecond)
	require.Equal(t, ask, u.take())
	u.data(answer)
	require.Contains(t, c.take(), "\r\n\r\nok")
}

func TestRate(t *testing.T) {
	f, _, c := shaped(t, &shapes{down: traffic.Shape{Rate: 1000}})
	c.data(ask)
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("x", 3000))
	body := 0
	for ms := 1; body < 3000; ms++ {
		require.Less(t, ms, 3100)
		f.pass(time.Millisecond)
		if s := c.take(); s != "" {
			body += len(s[strings.LastIndexByte(s, '\n')+1:])
		}
		require.LessOrEqual(t, body, ms, "after %d ms", ms)
		require.GreaterOrEqual(t, body, ms-11, "after %d ms", ms)
	}
}

// Framing costs nothing, and neither does a head.
func TestRateIsOfTheBody(t *testing.T) {
	f, r, c := shaped(t, &shapes{down: traffic.Shape{Rate: 1000}})
	c.data(ask)
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: " + strings.Repeat("h", 1000) + "\r\n\r\n" + strings.Repeat("1;ext=123456789\r\nx\r\n", 100) + "0\r\n\r\n")
	f.pass(time.Second)
	require.InDelta(t, 100*time.Millisecond, r.halves.wait(t, 1)[0].latency, float64(15*time.Millisecond))
}

func TestRateOfARequest(t *testing.T) {
	f, _, c := shaped(t, &shapes{up: traffic.Shape{Rate: 1000}})
	c.data(strings.Replace(post5, ": 5", ": "+"1000", 1))
	u := f.upstream(0)
	require.Contains(t, u.take(), "POST /")
	c.data(strings.Repeat("x", 1000))
	f.pass(500 * time.Millisecond)
	require.InDelta(t, 500, len(u.take()), 11)
	f.pass(500 * time.Millisecond)
	require.InDelta(t, 500, len(u.take()), 11)
}

func TestSlices(t *testing.T) {
	f, _, c := shaped(t, &shapes{down: traffic.Shape{Slice: 4, Pause: 20 * time.Millisecond}})
	c.data(ask)
	u := f.upstream(0)
	u.data(wiki + "0123456789")
	require.Equal(t, wiki+"0123", c.take())
	f.pass(20*time.Millisecond - 1)
	require.Empty(t, c.take())
	f.pass(1)
	require.Equal(t, "4567", c.take())
	f.pass(20 * time.Millisecond)
	require.Equal(t, "89", c.take())
}

func TestLimit(t *testing.T) {
	f := func(end traffic.End, limit int64, want string) *fakeConn {
		t.Helper()
		f, r, c := shaped(t, &shapes{down: traffic.Shape{End: end, Limit: limit}})
		c.data(ask)
		u := f.upstream(0)
		require.False(t, c.closed, "not before the service has answered")
		u.data(wiki + "0123456789")
		f.pass(time.Millisecond)
		require.Equal(t, want, c.take())
		require.True(t, u.closed)
		require.Equal(t, traffic.FlagFaultInjected, r.halves.wait(t, 1)[0].flags)
		return c
	}
	c := f(traffic.EndClose, 0, "")
	require.True(t, c.fin && !c.wasRST)
	c = f(traffic.EndClose, 4, wiki+"0123")
	require.True(t, c.fin && !c.wasRST)
	c = f(traffic.EndReset, 0, "")
	require.True(t, c.wasRST)
	c = f(traffic.EndReset, 4, wiki+"0123")
	require.True(t, c.wasRST)

	fk, r, c := shaped(t, &shapes{down: traffic.Shape{End: traffic.EndReset, Limit: 10}})
	c.data(ask)
	fk.upstream(0).data(wiki + "0123456789")
	require.Equal(t, wiki+"0123456789", c.take(), "which was all")
	fk.pass(time.Second)
	require.Zero(t, r.halves.wait(t, 1)[0].flags)
	require.False(t, c.closed)

	fk, _, c = shaped(t, &shapes{up: traffic.Shape{End: traffic.EndReset, Limit: 3}})
	c.data(post5 + "hello")
	require.Equal(t, post5+"hel", fk.upstream(0).take())
	require.True(t, c.wasRST)
}

func TestResetComesAfterWhatHasPassed(t *testing.T) {
	f, _, c := shaped(t, &shapes{down: traffic.Shape{End: traffic.EndReset, Limit: 4}})
	c.data(ask)
	u := f.upstream(0)
	f.room = 1
	u.data(wiki + "0123456789")
	f.pass(time.Second)
	require.False(t, c.closed)
	c.drain()
	f.pass(time.Millisecond)
	require.Equal(t, wiki+"0123", c.take())
	require.True(t, c.wasRST)
}

// Whoever lets go lets pass at once what was held.
func TestShaperLetsGo(t *testing.T) {
	f := func(down traffic.Shape) {
		t.Helper()
		s := &shapes{down: down}
		f, r, c := shaped(t, s)
		c.data(ask)
		f.upstream(0).data(answer)
		f.pass(10 * time.Second)
		before := c.take()
		require.NotContains(t, before, "ok")
		s.down = traffic.Shape{}
		f.pass(100 * time.Millisecond)
		require.Equal(t, answer, before+c.take())
		require.Zero(t, r.halves.wait(t, 1)[0].flags)
	}
	f(traffic.Shape{Delay: time.Hour})
	f(traffic.Shape{Hole: true})
	f(traffic.Shape{Slice: 1, Pause: time.Hour})

	g := &grip{}
	fk, _ := startFake(t, slot(proxy.Fault, harmed(traffic.Harm{Shaper: &shapes{up: traffic.Shape{Hole: true}}, Grip: g})))
	c := fk.accept()
	c.data(ask)
	u := fk.upstream(0)
	fk.pass(time.Minute)
	require.Empty(t, u.take())
	g.over.Store(true)
	fk.pass(100 * time.Millisecond)
	require.Equal(t, ask, u.take())
}

// A client that reads slowly is throttled by itself, and a throttled service is not read from without end.
func TestShapedBytesFillNoMemory(t *testing.T) {
	f, _, c := shaped(t, &shapes{down: traffic.Shape{Rate: 1000}})
	c.data(ask)
	u := f.upstream(0)
	u.data("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
	sent := 0
	for ; !u.paused && sent < 1<<20; sent += 1000 {
		u.data(strings.Repeat("x", 1000))
	}
	require.True(t, u.paused)
	require.Less(t, sent, 64<<10)
	f.pass(40 * time.Second)
	require.False(t, u.paused)
	f.room = 1
	u.data(strings.Repeat("x", 1000))
	f.pass(time.Hour)
	require.True(t, c.closed, "this one takes nothing at all")

	f, _, c = shaped(t, &shapes{up: traffic.Shape{Rate: 1000}})
	c.data(strings.Replace(post5, ": 5", ": "+"100000000", 1))
	f.upstream(0)
	for sent = 0; !c.paused && sent < 1<<20; sent += 1000 {
		c.data(strings.Repeat("x", 1000))
	}
	require.True(t, c.paused)
	require.Less(t, sent, 64<<10)
	f.pass(40 * time.Second)
	require.False(t, c.paused)
}

// What reaches the other side in the end does not depend on how it was shaped, cut or read.
func TestAnyShapeSameBytes(t *testing.T) {
	f := func(seed uint64) {
		t.Helper()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			patient := timeouts(func(t *mesh.Timeouts) { t.Header, t.Request, t.Response = time.Hour, time.Hour, time.Hour })
			plain, _ := startFake(t, patient)
			want := shapedConversation(t, plain, rand.New(rand.NewPCG(seed, 3)))
			s := &shapes{up: anyShape(rnd), down: anyShape(rnd)}
			f, r := startFake(t, patient, slot(proxy.Fault, harmed(traffic.Harm{Shaper: s})))
			if rnd.IntN(2) == 0 {
				f.room = 1
			}
			got := shapedConversation(t, f, rnd)
			require.Equal(t, want, got, "%+v", s)
			for _, x := range r.halves.wait(t, 3) {
				require.Zero(t, x.flags.Has(traffic.FlagDownstreamClosed|traffic.FlagUpstreamClosed))
			}
		})
	}
	for seed := range uint64(100) {
		f(seed)
	}
}

func anyShape(r *rand.Rand) (s traffic.Shape) {
	if r.IntN(2) == 0 {
		s.Delay = time.Duration(r.IntN(300)) * time.Millisecond
	}
	if r.IntN(2) == 0 {
		s.Rate = 1 + r.Int64N(100_000)
	}
	if r.IntN(2) == 0 {
		s.Slice = 1 + r.IntN(1000)
	}
	if r.IntN(2) == 0 {
		s.Pause = time.Duration(r.IntN(3)) * time.Millisecond
	}
	if r.IntN(2) == 0 {
		s.Linger = time.Duration(r.IntN(30)) * time.Millisecond
	}
	return s
}

// shapedConversation plays three requests and their answers in random pieces, and returns what both sides got.
func shapedConversation(t *testing.T, f *fake, rnd *rand.Rand) [2]string {
	c := f.accept()
	body := strings.Repeat("q", 300)
	toSend := fmt.Sprintf("POST /1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\nContent-Length: 300\r\n\r\n%s"+
		"GET /2 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 2\r\n\r\n"+
		"GET /3 HTTP/1.1\r\nHost: a\r\nX-Request-Id: 3\r\n\r\n", body)
	answers := []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + body,
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + strings.Repeat("z", 500),
	}
	answered, toAnswer := 0, ""
	for range 100_000 {
		if len(f.dialled) > 0 {
			u := f.upstream(0)
			u.drain()
			if toAnswer == "" && answered < 3 && complete(string(u.sent)) > answered {
				toAnswer = answers[answered]
				answered++
			}
			if !u.paused && toAnswer != "" {
				toAnswer = piece(rnd, toAnswer, u)
			}
		}
		if !c.paused && toSend != "" {
			toSend = piece(rnd, toSend, c)
		}
		c.drain()
		if strings.Count(string(c.sent), "z") == 500 {
			return [2]string{string(c.sent), string(f.dialled[0].sent)}
		}
		f.pass(time.Duration(rnd.IntN(20)) * time.Millisecond)
	}
	t.Fatalf("the conversation does not end: client got %q, service got %q, %d dialled, to send %q, to answer %q", c.sent, f.dialled[0].sent, len(f.dialled), toSend, toAnswer)
	return [2]string{}
}

// What tells the end of a response comes late, and nothing else does.
func TestLingeringResponse(t *testing.T) {
	f := func(in, before, after string) {
		t.Helper()
		f, r, c := shaped(t, &shapes{down: traffic.Shape{Linger: 50 * time.Millisecond}})
		c.data(ask + ask)
		u := f.upstream(0)
		u.data(in)
		require.Equal(t, before, c.take())
		require.Zero(t, r.halves.responses.Load())
		f.pass(50*time.Millisecond - 1)
		require.Empty(t, c.take())
		f.pass(1)
		require.Equal(t, after, c.take())
		require.Zero(t, r.halves.wait(t, 1)[0].flags)
		require.Equal(t, ask+ask, u.take(), "the connection is kept")
		u.data(in)
		u.broken()
		require.Equal(t, before+after, c.take(), "it has come, and nothing is won by waiting")
		require.False(t, c.closed)
	}
	f(answer, answer[:len(answer)-1], "k")
	head := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	f(head+"2\r\nok\r\n0\r\nT: v\r\n\r\n", head+"2\r\nok\r\n", "0\r\nT: v\r\n\r\n")

	fk, r, c := shaped(t, &shapes{down: traffic.Shape{Linger: 50 * time.Millisecond}})
	c.data(ask)
	u := fk.upstream(0)
	u.data("HTTP/1.1 200 OK\r\n\r\nbare")
	u.eof()
	require.Contains(t, c.take(), "bare")
	fk.pass(50*time.Millisecond - 1)
	require.False(t, c.fin)
	fk.pass(1)
	require.True(t, c.closed)
	require.Zero(t, r.halves.wait(t, 1)[0].flags)
}
