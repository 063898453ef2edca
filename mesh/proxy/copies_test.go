package proxy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

func TestCopiesGoBesideTheRequest(t *testing.T) {
	f, r := startFake(t, slot(proxy.Fault, harmed(traffic.Harm{Copies: 2})))
	c := f.accept()
	c.data(post5 + "he")
	u := f.upstream(0)
	require.Len(t, f.dialled, 1, "the body is not there yet")
	c.data("llo")
	require.Equal(t, post5+"hello", u.take())
	require.Len(t, f.dialled, 3)
	for _, n := range []int{1, 2} {
		require.Equal(t, post5+"hello", f.upstream(n).take())
	}
	f.upstream(1).data("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nno")
	require.Empty(t, c.take())
	f.upstream(1).data("\n")
	u.data(answer)
	require.Equal(t, answer, c.take())
	r.halves.wait(t, 1)
	f.upstream(2).broken()
	require.Equal(t, int64(1), r.halves.requests.Load(), "copies are nobody's requests")

	c.data(ask) // two connections are good for more
	require.Len(t, f.dialled, 4)
	require.Contains(t, metrics(t, r), "redlane_request_copies_total 4\n")
	f.upstream(3).data("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more")
	require.True(t, f.upstream(3).closed)
}

func TestCopiesOfWhatFailed(t *testing.T) {
	h := traffic.Harm{Copies: 3, Failed: true, Grip: &grip{}}
	f, _ := startFake(t, slot(proxy.Fault, harmed(h)))
	c := f.accept()
	c.data(ask)
	u := f.upstream(0)
	u.data(answer)
	require.Equal(t, answer, c.take())
	require.Len(t, f.dialled, 1, "it has not")
	u.take()

	const no = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
	c.data(ask)
	u.take()
	u.data(no)
	require.Equal(t, no, c.take())
	require.Equal(t, ask, u.take(), "one at a time, over the connection that is free")
	require.Len(t, f.dialled, 1)
	u.data(no)
	require.Equal(t, ask, u.take())
	u.broken()
	require.Equal(t, ask, f.upstream(1).take(), "the third and last")
	f.upstream(1).data(no)
	require.Empty(t, f.upstream(1).take())
	require.Len(t, f.dialled, 2)

	c.data(ask)
	u = f.upstream(1)
	u.take()
	u.data(no)
	require.Equal(t, ask, u.take())
	u.data(answer)
	require.Empty(t, u.take(), "the copy was answered")

	c.data(ask)
	u.take()
	f.pass(4 * time.Second) // a service that does not answer at all
	require.Contains(t, c.take(), " 504 ")
	require.Equal(t, ask, f.upstream(2).take())
	h.Grip.(*grip).over.Store(true)
	f.pass(4 * time.Second)
	require.True(t, f.upstream(2).closed)
	require.Len(t, f.dialled, 3)
}

func TestLargeBodiesAreNotCopied(t *testing.T) {
	f, _ := startFake(t, slot(proxy.Fault, harmed(traffic.Harm{Copies: 1})))
	c := f.accept()
	c.data(strings.Replace(post5, ": 5", ": 1048577", 1))
	f.upstream(0)
	for range 1024 {
		c.data(strings.Repeat("x", 1024))
	}
	c.data("x")
	require.Len(t, f.dialled, 1)
}
