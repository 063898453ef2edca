package scenarios

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

// stoppedClock is a clock that a test moves by hand.
type stoppedClock struct{ now time.Time }

func (c *stoppedClock) Now() time.Time { return c.now }

func exchangeAt(start time.Time, at, latency time.Duration, src, dst string, color traffic.Color, status int) *traffic.Exchange {
	x := &traffic.Exchange{Start: start.Add(at).UnixNano(), Latency: latency, Src: src, Dst: dst, Color: color}
	x.Response.Status = status
	return x
}

func TestObserverKeepsSecondsEdgesAndWindows(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	clk := &stoppedClock{start}
	o := newObserver(fixedClock{clk}, start)
	put := func(at time.Duration, color traffic.Color, latency time.Duration, status int) {
		t.Helper()
		clk.now = start.Add(at + latency)
		x := exchangeAt(start, at, latency, "shake", "packet", color, status)
		x.Session = uint64(status+int(at.Seconds())) << 48 // from several loops
		o.Response(x)
	}
	put(100*time.Millisecond, "", time.Millisecond, 200)
	put(1500*time.Millisecond, "red", 2*time.Millisecond, 200)
	clk.now = start.Add(1600 * time.Millisecond)
	o.openWindow("slow")
	put(1700*time.Millisecond, "red", 50*time.Millisecond, 200) // in a second that the window does not cover
	put(2100*time.Millisecond, "red", 60*time.Millisecond, 503)
	put(2200*time.Millisecond, "", time.Millisecond, 200)
	clk.now = start.Add(3200 * time.Millisecond)
	o.closeWindow("slow")
	put(3300*time.Millisecond, "red", time.Millisecond, 200)
	o.finish()

	red, baseline := traffic.Color("red"), traffic.Color("")
	f := func(sel Select, count, errors uint64) {
		t.Helper()
		sel.Caller, sel.Service = "shake", "packet"
		c := o.measure(sel)
		require.Equal(t, count, c.count)
		require.Equal(t, errors, c.errors)
	}
	f(Select{}, 6, 1)
	f(Select{Lane: &red}, 4, 1)
	f(Select{Lane: &baseline}, 2, 0)
	f(Select{Lane: &red, During: "slow"}, 1, 1)
	f(Select{Lane: &baseline, During: "slow"}, 1, 0)
	require.Zero(t, o.measure(Select{}).count, "nothing entered at the edge of the mesh")

	series := o.series()
	require.Len(t, series, 2)
	require.Equal(t, "red", series[1].Lane)
	var seconds []int
	for _, s := range series[1].Seconds {
		seconds = append(seconds, s.Second)
	}
	require.Equal(t, []int{1, 2, 3}, seconds, "each second once, in order")
	require.InDelta(t, float64(60*time.Millisecond), float64(series[1].Seconds[1].P99), float64(time.Millisecond))
}

func TestOnlyLettingTheCallerDownIsAnError(t *testing.T) {
	f := func(status int, flags traffic.Flags, want bool) {
		t.Helper()
		x := &traffic.Exchange{Flags: flags}
		x.Response.Status = status
		require.Equal(t, want, x.Failed())
	}
	f(200, 0, false)
	f(404, 0, false)
	f(499, 0, false)
	f(500, 0, true)
	f(503, traffic.FlagLaneRefused, true)
	f(0, traffic.FlagUpstreamClosed, true)
	f(0, traffic.FlagFaultInjected, true)
	f(0, traffic.FlagDownstreamClosed, false)
}
