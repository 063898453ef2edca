package lanes

import (
	"strings"
	"sync"
	"testing"

	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

func TestColourPrecedence(t *testing.T) {
	f := func(want traffic.Color, why traffic.LaneReason, srcLane traffic.Color, headers ...string) {
		t.Helper()
		x := request("packet", headers...)
		x.SrcLane = srcLane
		a := shop(t).Request(x)
		require.Equal(t, want, x.Color)
		require.Equal(t, why.String(), x.LaneReason.String())
		require.Equal(t, why.Refused(), a.Ends())
	}
	f("", traffic.LaneBaseline, "")
	f("", traffic.LaneBaseline, "", "baggage", "user=1,lanes=red,xlane=red")
	f("red", traffic.LaneMatched, "", "x-lane", "red")
	f("red", traffic.LaneMatched, "", "X-Lane", "red")
	f("red", traffic.LaneMatched, "", "x-env", "red")
	f("red", traffic.LaneMatched, "", "baggage", "user=1, lane = red ;ttl=4")
	f("red", traffic.LaneMatched, "", "baggage", "lane=%72e%64")
	f("red", traffic.LaneMatched, "red")
	f("red", traffic.LaneMatched, "red", "x-lane", "red")

	// header > configured > baggage > caller, wherever they stand; among equals the first
	f("red", traffic.LaneMatched, "", "baggage", "lane=blue", "x-env", "blue", "x-lane", "red")
	f("red", traffic.LaneMatched, "", "baggage", "lane=blue", "x-env", "red")
	f("red", traffic.LaneMatched, "red", "baggage", "lane=blue", "x-lane", "red")
	f("red", traffic.LaneMatched, "", "x-lane", "red", "x-lane", "blue")
	f("red", traffic.LaneMatched, "", "baggage", "a=b", "baggage", "lane=red", "baggage", "lane=blue")

	// what is no colour is refused, never uncoloured, and never gives way to a weaker carrier
	f(Unknown, traffic.LaneUnknown, "", "x-lane", "")
	f(Unknown, traffic.LaneUnknown, "", "x-lane", "Red")
	f(Unknown, traffic.LaneUnknown, "", "x-lane", "red,red")
	f(Unknown, traffic.LaneUnknown, "", "x-lane", "?", "x-env", "red")
	f(Unknown, traffic.LaneUnknown, "", "x-lane", strings.Repeat("a", traffic.MaxColor+1))
	f(Unknown, traffic.LaneUnknown, "", "x-env", " ")
	f(Unknown, traffic.LaneUnknown, "", "baggage", "lane=")
	f(Unknown, traffic.LaneUnknown, "", "baggage", "lane")
	f(Unknown, traffic.LaneUnknown, "", "baggage", "lane;p=red")
	f(Unknown, traffic.LaneUnknown, "", "baggage", "lane=re d")
	f(Unknown, traffic.LaneUnknown, "", "baggage", "lane=red%")
	f(Unknown, traffic.LaneUnknown, "", "baggage", strings.Repeat("a=b,", 5000)+"lane=%00")
	f("green", traffic.LaneUnknown, "", "x-lane", "green")
	f("baseline", traffic.LaneUnknown, "", "x-lane", "baseline")
	f("green", traffic.LaneUnknown, "green")

	// an instance of a lane speaks for its lane only
	f("blue", traffic.LaneEscape, "red", "x-lane", "blue")
	f("blue", traffic.LaneEscape, "red", "baggage", "lane=blue")
	f("green", traffic.LaneEscape, "red", "x-lane", "green")
	f(Unknown, traffic.LaneEscape, "red", "x-lane", "")
}

func TestRules(t *testing.T) {
	f := func(dst, color string, down []string, want traffic.LaneReason, addrs string) {
		t.Helper()
		filter := shop(t)
		for _, ep := range filter.Table().Endpoints(dst) {
			for _, addr := range down {
				if ep.Addr == addr {
					ep.DownUntil.Store(100)
				}
			}
		}
		x := request(dst)
		if color != "" {
			x = request(dst, "x-lane", color)
		}
		a := filter.Request(x)
		require.Equal(t, want.String(), x.LaneReason.String())
		var got []string
		for _, ep := range x.Endpoints {
			got = append(got, ep.Addr)
			require.Equal(t, x.Lane, ep.Lane)
			require.False(t, filter.Escapes(x, ep))
		}
		require.Equal(t, addrs, strings.Join(got, " "))
		if want.Refused() {
			require.Equal(t, 503, a.Reply.Status)
			require.Equal(t, traffic.FlagLaneRefused, a.Reply.Flag)
			require.Contains(t, a.Reply.Body, "lane "+color)
			require.Empty(t, x.Edits, "a refused request goes nowhere")
		} else {
			require.Equal(t, traffic.Action{}, a)
		}
	}
	f("packet", "", nil, traffic.LaneBaseline, "10.0.0.1:1")
	f("packet", "", []string{"10.0.0.1:1"}, traffic.LaneBaseline, "10.0.0.1:1")
	f("packet", "red", nil, traffic.LaneMatched, "10.0.1.1:1 10.0.1.2:1")
	f("packet", "red", []string{"10.0.1.1:1"}, traffic.LaneMatched, "10.0.1.1:1 10.0.1.2:1")
	f("packet", "red", []string{"10.0.1.1:1", "10.0.1.2:1"}, traffic.LaneUnhealthy, "")
	f("packet", "blue", nil, traffic.LaneMatched, "10.0.2.1:1")
	f("packet", "blue", []string{"10.0.2.1:1"}, traffic.LaneFallbackUnhealthy, "10.0.0.1:1")
	f("shake", "red", []string{"10.0.1.3:1"}, traffic.LaneUnhealthy, "")
	f("shake", "blue", nil, traffic.LaneFallbackAbsent, "10.0.0.2:1")
	f("shake", "green", nil, traffic.LaneUnknown, "")
	f("account", "red", nil, traffic.LaneNotFound, "")
	f("nobody", "", nil, traffic.LaneBaseline, "")
	f("nobody", "red", nil, traffic.LaneNotFound, "")
}

func TestCarriersAgree(t *testing.T) {
	f := func(xlane, xenv, baggage string, headers ...string) {
		t.Helper()
		x := request("packet", headers...)
		shop(t).Request(x)
		require.Equal(t, xlane, edit(x, "x-lane"))
		require.Equal(t, xenv, edit(x, "x-env"))
		require.Equal(t, baggage, edit(x, "baggage"))
		require.LessOrEqual(t, len(x.Edits), 3)
	}
	f("-", "-", "-")
	f("-", "-", "-", "baggage", "user=1,,broken")
	f("red", "red", "lane=red", "x-lane", "red")
	f("red", "red", "lane=red", "x-env", "red")
	f("red", "red", "lane=red", "x-lane", "red", "X-LANE", "blue")
	f("red", "red", "lane=red", "x-lane", "red", "baggage", "lane=blue;p=1")
	f("red", "red", "lane=red", "x-lane", "red", "baggage", "lane=red,lane=red")
	f("red", "red", "lane=red", "x-lane", "red", "baggage", "")
	f("red", "red", "user=1,lane=red;p=1 ; q", "x-lane", "red", "baggage", "user=1,lane=red;p=1 ; q")
	f("red", "red", "lane=red,user=1;p=2", "x-lane", "red", "baggage", "user=1;p=2")
	f("red", "red", "lane=red,user=a%2Cb,k=v", "x-env", "red", "baggage", "user=a%2Cb , bad value,lane=blue", "baggage", "k=v,=x,,q\"=1")
	f("red", "red", "lane=red,user=1", "baggage", "user=1", "baggage", "lane=red")
	f("red", "red", "lane=red,k=v", "baggage", "k=v,broken,lane=red")
	f("red", "red", "user=1,lane=r%65d", "baggage", "user=1,lane=r%65d")
}

func TestEscapesCatchesWhatResolveDidNot(t *testing.T) {
	f := func(want bool, x *traffic.Exchange, ep *traffic.Endpoint) {
		t.Helper()
		filter := shop(t)
		if ep != nil {
			for _, mine := range filter.Table().Endpoints("packet") {
				if mine.Addr == ep.Addr {
					mine.Lane = ep.Lane
					ep = mine
				}
			}
		}
		require.Equal(t, want, filter.Escapes(x, ep))
		require.Equal(t, want, filter.Counts().Caught == 1)
	}
	base, red, blue := &traffic.Endpoint{Addr: "10.0.0.1:1"}, &traffic.Endpoint{Addr: "10.0.1.1:1", Lane: "red"}, &traffic.Endpoint{Addr: "10.0.2.1:1", Lane: "blue"}
	to := func(color, srcLane traffic.Color, why traffic.LaneReason) *traffic.Exchange {
		return &traffic.Exchange{Dst: "packet", Color: color, SrcLane: srcLane, LaneReason: why}
	}
	f(false, to("", "", 0), base)
	f(true, to("", "", 0), red)
	f(true, to("", "red", 0), base)
	f(false, to("red", "", traffic.LaneMatched), red)
	f(false, to("red", "red", traffic.LaneMatched), red)
	f(true, to("red", "", traffic.LaneMatched), blue)
	f(true, to("red", "blue", traffic.LaneMatched), red)
	f(true, to("red", "", traffic.LaneFallbackUnhealthy), base) // its rule is never
	f(true, to("red", "", traffic.LaneMatched), base)
	f(true, to("blue", "", traffic.LaneMatched), base)
	f(false, to("blue", "", traffic.LaneFallbackUnhealthy), base)
	f(true, to("green", "", traffic.LaneMatched), base)
	f(true, to(Unknown, "", traffic.LaneMatched), base)
	f(true, to("", "", 0), nil)
	f(true, to("", "", 0), &traffic.Endpoint{Addr: "10.9.9.9:1"})                                   // of another configuration
	f(true, to("red", "", traffic.LaneMatched), &traffic.Endpoint{Addr: "10.0.0.1:1", Lane: "red"}) // somebody relabelled it
	other := to("", "", 0)
	other.Dst = "shake"
	f(true, other, base) // another service's endpoint
}

func TestCountsAddUpUnderConcurrency(t *testing.T) {
	filter := shop(t)
	const loops, each = 8, 500
	var wg sync.WaitGroup
	for i := range loops {
		request := func(dst string, headers ...string) *traffic.Exchange {
			x := request(dst, headers...)
			x.Session = uint64(i/2) << 48 // pairs of loops that share a shard
			return x
		}
		wg.Go(func() {
			for j := range each {
				filter.Request(request("packet"))
				filter.Request(request("packet", "x-lane", "red"))
				filter.Request(request("packet", "x-env", "red", "baggage", "lane=blue"))
				filter.Request(request("account", "x-lane", "red"))
				filter.Request(request("packet", "x-lane", "c"+string(rune('a'+i))+string(rune('a'+j%26))))
				filter.Request(request("nobody", "x-lane", "Red"))
				x := request("shake", "x-lane", "blue")
				x.SrcLane = "red"
				filter.Request(x)
			}
		})
	}
	wg.Wait()
	c := filter.Counts()
	const n = loops * each
	require.Equal(t, []Row{
		{"", Unknown, "", "unknown", true, n},
		{"account", "red", "", "not_found", true, n},
		{"packet", "", "", "baseline", false, n},
		{"packet", Unknown, "", "unknown", true, n},
		{"packet", "red", "red", "matched", false, 2 * n},
		{"shake", "blue", "", "escape", true, n},
	}, c.Rows)
	require.Equal(t, map[string]uint64{"header": 5 * n, "configured": n, "baggage": 0, "caller": 0, "none": n}, c.Sources)
	require.EqualValues(t, n, c.Conflicts)
	require.EqualValues(t, n, c.Escapes)
	require.EqualValues(t, 4*n, c.Refused())
	require.Zero(t, c.Caught)
}

func TestCommonPathsAllocateNothing(t *testing.T) {
	filter := shop(t)
	f := func(x *traffic.Exchange) {
		t.Helper()
		n := testing.AllocsPerRun(200, func() {
			x.Edits = x.Edits[:0]
			if filter.Request(x).Ends() || filter.Escapes(x, x.Endpoints[0]) {
				t.Fatal("refused")
			}
		})
		require.Zero(t, n)
	}
	f(request("packet"))
	f(request("packet", "host", "a", "baggage", "user=1,k=v;p"))
	f(request("packet", "host", "a", "x-lane", "red"))
	f(request("packet", "x-lane", "red", "x-env", "red", "baggage", "user=1,lane=red"))
	f(request("packet", "baggage", "lane=red"))
	f(request("shake", "x-lane", "blue"))
	fromRed := request("packet")
	fromRed.SrcLane = "red"
	f(fromRed)
}

func BenchmarkRequest(b *testing.B) {
	filter := shop(b)
	for name, x := range map[string]*traffic.Exchange{
		"uncoloured": request("packet", "host", "a", "user-agent", "x", "accept", "*/*", "content-type", "application/json"),
		"x-lane":     request("packet", "host", "a", "user-agent", "x", "accept", "*/*", "x-lane", "red"),
		"forwarded":  request("packet", "host", "a", "user-agent", "x", "x-lane", "red", "baggage", "user=1,lane=red"),
		"rewritten":  request("packet", "host", "a", "user-agent", "x", "x-lane", "red", "baggage", "user=1"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Edits = x.Edits[:0]
				filter.Request(x)
				filter.Escapes(x, x.Endpoints[0])
			}
		})
	}
}

// A replay's request that has lost its colour is served, and counted as the escape that it is. One that
// has a colour is what its colour says, and an empty tag is none.
func TestStressTrafficWithoutAColourIsAnEscape(t *testing.T) {
	filter := shop(t)
	f := func(want traffic.LaneReason, srcLane traffic.Color, headers ...string) {
		t.Helper()
		x := request("packet", headers...)
		x.SrcLane = srcLane
		a := filter.Request(x)
		require.Equal(t, want, x.LaneReason)
		require.Equal(t, want.Refused(), a.Ends())
		if want == traffic.LaneStress {
			require.Empty(t, x.Color)
			require.False(t, filter.Escapes(x, x.Endpoints[0]), "the rules allow it: it has no colour to leave")
		}
	}
	f(traffic.LaneStress, "", "x-stress", "run-1")
	f(traffic.LaneStress, "", "host", "a", "X-STRESS", "run-1")
	f(traffic.LaneBaseline, "", "x-stress", "")
	f(traffic.LaneBaseline, "", "x-stresses", "run-1")
	f(traffic.LaneMatched, "", "x-stress", "run-1", "x-lane", "red")
	f(traffic.LaneMatched, "red", "x-stress", "run-1")
	f(traffic.LaneUnknown, "", "x-stress", "run-1", "x-lane", "tan")
	f(traffic.LaneEscape, "red", "x-stress", "run-1", "x-lane", "blue")
	counts := filter.Counts()
	require.EqualValues(t, 3, counts.Escapes)
	require.EqualValues(t, 2, counts.Refused())
	require.Contains(t, counts.Rows, Row{Service: "packet", Reason: "stress", N: 2})
}

func TestIsolation(t *testing.T) {
	table := shop(t).Table()
	f := func(service string, c traffic.Color, rule Rule, ok bool) {
		t.Helper()
		gotRule, gotOK := table.Isolation(service, c)
		require.Equal(t, ok, gotOK)
		require.Equal(t, rule, gotRule)
	}
	f("packet", "red", Never, true)
	f("packet", "blue", AbsentOrUnhealthy, true)
	f("shake", "red", Absent, true)
	f("shake", "blue", Never, false)
	f("account", "red", Never, false)
	f("packet", "", Never, false)
	f("packet", Unknown, Never, false)
	f("nobody", "red", Never, false)
	carriesARule := build(t, Config{Services: map[string]Service{"s": {Endpoints: []string{"a:1"}, Lanes: map[traffic.Color]Lane{"red": {Fallback: rule(Absent)}}}}})
	_, ok := carriesARule.Table().Isolation("s", "red")
	require.False(t, ok, "a lane of nothing but a rule is the baseline")
}
