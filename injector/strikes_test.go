package injector

import (
	"crypto/x509"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/traffic"
)

// armed is a filter with one lease of fault, changed where a test needs to.
func armed(t *testing.T, fault Fault, changes ...func(*Lease)) (*Table, traffic.ConnFilter) {
	t.Helper()
	table := NewTable(Config{})
	l := slow("a")
	l.Fault = fault
	for _, change := range changes {
		change(&l)
	}
	add(t, table, l)
	return table, table.Filter().(traffic.ConnFilter)
}

func TestWhatALeaseBeganEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range []Fault{&Delay{Delay: time.Second}, &Abort{}, &Reset{}, &Blackhole{}, &Throttle{Rate: 1}, &Refuse{}, &Duplicate{}, &Patch{Status: 500}} {
			_, filter := armed(t, fault)
			grip := filter.Request(call(1)).Harm.Grip
			require.False(t, grip.Over())
			time.Sleep(Grace - 1)
			require.False(t, grip.Over())
			time.Sleep(time.Nanosecond)
			require.True(t, grip.Over())
		}
		table, filter := armed(t, &Throttle{Rate: 7})
		a := filter.Request(call(1))
		require.EqualValues(t, 7, a.Harm.Shaper.Shape(traffic.Downstream).Rate)
		require.Zero(t, a.Harm.Shaper.Shape(traffic.Upstream))
		table.Halt()
		require.Zero(t, a.Harm.Shaper.Shape(traffic.Downstream))
		require.True(t, a.Harm.Grip.Over())
	})
}

func TestFlagsSayWhatWasDone(t *testing.T) {
	f := func(fault Fault, flags traffic.Flags, delay time.Duration) {
		t.Helper()
		_, filter := armed(t, fault)
		x := call(1)
		filter.Request(x)
		require.Equal(t, flags, x.Flags)
		require.Equal(t, traffic.Injected{Rule: "a", Kind: Kind(fault), Hit: true, Delay: delay}, x.Fault)
		filter.Response(x)
	}
	f(&Delay{Delay: time.Second, Side: SideResponse}, traffic.FlagDelayInjected, time.Second)
	f(&DNS{Delay: time.Second}, traffic.FlagDelayInjected|traffic.FlagFaultInjected, time.Second)
	f(&Blackhole{}, traffic.FlagFaultInjected, 0)
	f(&Truncate{After: 1}, 0, 0) // the proxy says when it comes to that
	f(&Throttle{Rate: 1}, traffic.FlagFaultInjected, 0)
	f(&Exhaust{Connections: 1}, 0, 0)
}

func TestExhaustLetsSoManyOnAtATime(t *testing.T) {
	table, filter := armed(t, &Exhaust{Connections: 2, Wait: time.Second})
	x := []*traffic.Exchange{call(1), call(2), call(3), call(4)}
	ask := func(i int, refused bool) {
		t.Helper()
		*x[i] = *call(uint64(i))
		a := plain(filter.Request(x[i]))
		if !refused {
			require.Zero(t, a)
			return
		}
		require.Equal(t, time.Second, a.Wait)
		require.Equal(t, 503, a.Reply.Status)
		require.Equal(t, traffic.FlagFaultInjected, a.Reply.Flag)
	}
	ask(0, false)
	ask(1, false)
	ask(2, true)
	filter.Response(x[2]) // who was refused had no place to give back
	ask(3, true)
	filter.Response(x[0])
	ask(2, false)
	ask(0, true)
	for _, i := range []int{0, 1, 2, 3} {
		filter.Response(x[i])
	}
	ask(0, false)
	ask(1, false)
	require.EqualValues(t, 2, status(t, table, "a").Active)
}

func TestCorruptDoesNotDependOnPieces(t *testing.T) {
	c := &Corrupt{Density: 0.05}
	body := strings.Repeat("0123456789", 2000)
	corrupted := func(id uint64, size int) string {
		piece := c.Decide(Op{}, chance.Stream(1, "a", id)).Harm.Patch.Piece
		b := []byte(body)
		for rest := b; len(rest) > 0; {
			n := min(size, len(rest))
			piece(rest[:n])
			rest = rest[n:]
		}
		return string(b)
	}
	changed := 0
	for id := range uint64(20) {
		whole := corrupted(id, len(body))
		require.Equal(t, whole, corrupted(id, 1))
		require.Equal(t, whole, corrupted(id, 7))
		require.NotEqual(t, whole[:16], body[:16], "one of the first always changes")
		for i := range whole {
			if whole[i] != body[i] {
				changed++
			}
		}
	}
	require.InDelta(t, 0.05*20*float64(len(body)), changed, 700) // 5 standard deviations
	all := &Corrupt{Density: 1}
	b := make([]byte, 40)
	all.Decide(Op{}, chance.Stream(1, "a", 1)).Harm.Patch.Piece(b)
	require.NotContains(t, string(b[16:]), "\x00")
}

func TestPatchThatCannotBeDoneIsNoStrike(t *testing.T) {
	table, filter := armed(t, &Patch{Body: `{"total":0}`})
	strike := func(f func(*traffic.Patch)) {
		x := call(1)
		f(filter.Request(x).Harm.Patch)
		filter.Response(x)
	}
	strike(func(p *traffic.Patch) {
		require.Equal(t, `{"a":1.50,"total":0}`, string(p.Whole([]byte(`{"total": 17, "a": 1.50}`))))
	})
	require.EqualValues(t, []uint64{1, 0}, []uint64{status(t, table, "a").Struck, status(t, table, "a").Undone})
	strike(func(p *traffic.Patch) { require.Equal(t, "<html>", string(p.Whole([]byte("<html>")))) })
	other, x := call(2), call(3)
	filter.Request(other)
	filter.Request(x).Harm.Patch.Unpatched()
	require.False(t, x.Fault.Hit)
	filter.Response(x)
	require.EqualValues(t, 1, status(t, table, "a").Active, "it gives back its own place alone")
	filter.Response(other)
	s := status(t, table, "a")
	require.EqualValues(t, []uint64{4, 2, 2, 0}, []uint64{s.Looked, s.Struck, s.Undone, s.Active})
	strike(func(p *traffic.Patch) {
		table.Halt()
		require.Equal(t, `{"total": 17}`, string(p.Whole([]byte(`{"total": 17}`))), "the lease ended before the answer came")
	})
}

func TestStaleAnswersWithWhatWasThere(t *testing.T) {
	table, filter := armed(t, &Stale{})
	get := func(target string, status int, body string) (a traffic.Action) {
		x := call(1)
		x.Request.Method, x.Request.Target = []byte("GET"), []byte(target)
		a = filter.Request(x)
		if a.Reply.Status == 0 {
			for piece := range strings.SplitAfterSeq(body, ":") {
				a.Harm.Patch.Piece([]byte(piece))
			}
			x.Response.Status, x.Response.BodySize = status, int64(len(body))
			x.Response.Headers = []traffic.Header{{Name: []byte("Content-Type"), Value: []byte("application/json")}, {Name: []byte("Content-Length"), Value: []byte("9")}}
		}
		filter.Response(x)
		return a
	}
	require.Zero(t, get("/a", 500, "no").Reply, "a failure is not kept")
	require.Zero(t, get("/a", 200, "left: 3").Reply)
	require.Zero(t, get("/b", 200, "left: 9").Reply, "another target")
	for range 2 {
		a := get("/a", 200, "left: 2")
		require.Equal(t, traffic.Reply{Status: 200, Body: "left: 3", Flag: traffic.FlagFaultInjected}, a.Reply)
		require.Len(t, a.Harm.Headers, 1)
		require.Equal(t, "application/json", string(a.Harm.Headers[0].Value))
	}
	s := status(t, table, "a")
	require.EqualValues(t, []uint64{5, 2, 3, 0}, []uint64{s.Looked, s.Struck, s.Undone, s.Active})
	require.Zero(t, table.watching.n.Load())
	l := (*table.byID.Load())["a"]
	table.Halt()
	require.Empty(t, l.answers.kept, "memory goes with the lease")
}

func TestStaleKeepsLittle(t *testing.T) {
	table, filter := armed(t, &Stale{Same: SameRoute}, func(l *Lease) { l.Route = "/{id}" })
	get := func(method, body string) traffic.Action {
		x := call(1)
		x.Request.Method, x.Request.Target = []byte(method), []byte("/"+body[:1])
		a := filter.Request(x)
		if a.Harm != nil && a.Harm.Patch != nil {
			a.Harm.Patch.Piece([]byte(body))
		}
		x.Response.Status, x.Response.BodySize = 200, int64(len(body))
		filter.Response(x)
		return a
	}
	get("GET", strings.Repeat("x", maxAnswerBody+1))
	require.Zero(t, get("GET", "short").Reply, "what is too long is not kept")
	require.Equal(t, "short", get("GET", "other").Reply.Body, "the same route")
	k := &(*table.byID.Load())["a"].answers
	for i := range 2 * maxAnswers {
		get("M"+strings.Repeat("a", i), strings.Repeat("x", maxAnswerBody))
	}
	require.LessOrEqual(t, k.size, maxAnswerSum+maxAnswerBody)
	require.LessOrEqual(t, len(k.kept), maxAnswers)
}

func TestConnectionsOfALane(t *testing.T) {
	f := func(fault Fault, c traffic.Connection, want traffic.Welcome) {
		t.Helper()
		table, filter := armed(t, fault)
		got := filter.Connection(&c)
		if struck := want != (traffic.Welcome{}); struck {
			require.False(t, got.Grip.Over())
			require.EqualValues(t, 1, status(t, table, "a").Struck)
			table.Halt()
			require.True(t, got.Grip.Over())
		}
		got.Grip = nil
		require.Equal(t, want, got)
		require.Zero(t, status(t, table, "a").Active)
	}
	mine := traffic.Connection{Src: "gateway", Dst: "packet", SrcLane: "red", TLS: true}
	f(&Refuse{At: AtCaller}, mine, traffic.Welcome{Refuse: true})
	f(&Stall{At: AtCaller}, mine, traffic.Welcome{Stall: true})
	f(&TLS{Mode: TLSStalled}, mine, traffic.Welcome{Stall: true})
	f(&TLS{Mode: TLSStalled}, traffic.Connection{Src: "gateway", Dst: "packet", SrcLane: "red"}, traffic.Welcome{})
	f(&Refuse{At: AtCaller}, traffic.Connection{Src: "gateway", Dst: "packet"}, traffic.Welcome{}) // the baseline
	f(&Refuse{At: AtCaller}, traffic.Connection{Src: "gateway", Dst: "packet", SrcLane: "blue"}, traffic.Welcome{})
	f(&Refuse{At: AtCaller}, traffic.Connection{Src: "other", Dst: "packet", SrcLane: "red"}, traffic.Welcome{})
	f(&Refuse{}, mine, traffic.Welcome{}) // that one is for exchanges
	f(&Delay{Delay: time.Second}, mine, traffic.Welcome{})

	table, filter := armed(t, &Refuse{At: AtCaller}, func(l *Lease) { l.MaxRequests = 2 })
	require.Zero(t, filter.Request(call(1)), "and no exchange suffers")
	for range 5 {
		filter.Connection(&mine)
	}
	s := status(t, table, "a")
	require.EqualValues(t, []uint64{5, 2, 3}, []uint64{s.Looked, s.Struck, s.Overflow})
}

func TestCertificatesThatNobodyTakes(t *testing.T) {
	f := func(mode, name string, want string) {
		t.Helper()
		_, filter := armed(t, &TLS{Mode: mode})
		w := filter.Connection(&traffic.Connection{Src: "gateway", Dst: "packet", SrcLane: "red", TLS: true})
		require.NotNil(t, w.Certificate)
		again := filter.Connection(&traffic.Connection{Src: "gateway", Dst: "packet", SrcLane: "red", TLS: true})
		require.Same(t, w.Certificate, again.Certificate, "made once")
		leaf, err := x509.ParseCertificate(w.Certificate.Certificate[0])
		require.NoError(t, err)
		roots := x509.NewCertPool()
		roots.AddCert(leaf)
		_, err = leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots})
		require.ErrorContains(t, err, want)
	}
	f(TLSExpired, "packet", "expired")
	f(TLSWrongName, "packet", "not packet")
}
