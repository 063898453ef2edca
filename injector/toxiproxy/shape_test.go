package toxiproxy

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/traffic"
)

// A flow is one connection, and what has come on it.
type flow struct {
	t *testing.T
	x *traffic.Exchange
	s traffic.Shaper
}

func (r *rig) flow(proxy string) *flow {
	x, a := r.open(proxy)
	require.NotNil(r.t, a.Harm)
	return &flow{r.t, x, a.Harm.Shaper}
}

// down has n bytes of the service come.
func (f *flow) down(n int64) traffic.Shape {
	f.x.Response.BodySize += n
	return f.s.Shape(traffic.Downstream)
}

func (r *rig) proxied() {
	r.must("POST", "/proxies", `{"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}`)
}

func (r *rig) toxic(json string) { r.must("POST", "/proxies/p/toxics", json) }

func (r *rig) change(name, json string) { r.must("PATCH", "/proxies/p/toxics/"+name, json) }

// What each toxic makes of the second piece of a connection, 100 bytes after 50.
func TestShapeOfEachToxic(t *testing.T) {
	f := func(toxics string, want traffic.Shape) {
		t.Helper()
		inBubble(t, func(r *rig) {
			r.proxied()
			for _, one := range strings.Split(toxics, "; ") {
				kind, attributes, _ := strings.Cut(one, " ")
				r.toxic(`{"type": "` + kind + `", "name": "` + one[:8] + `", "attributes": {` + strings.ReplaceAll(attributes, `'`, `"`) + `}}`)
			}
			c := r.flow("p")
			c.down(50)
			time.Sleep(30 * time.Millisecond)
			got := c.down(100)
			require.Equal(t, want, got, toxics)
			require.Zero(t, c.s.Shape(traffic.Upstream), "the other direction")
		})
	}
	const msec = time.Millisecond
	f(`latency 'latency': 50`, traffic.Shape{Delay: 50 * msec})
	f(`bandwidth 'rate': 20`, traffic.Shape{Rate: 20_000})
	f(`bandwidth 'rate': 0`, traffic.Shape{Delay: forever})
	f(`slow_close 'delay': 70`, traffic.Shape{Linger: 70 * msec})
	f(`timeout 'timeout': 0`, traffic.Shape{Hole: true})
	f(`timeout 'timeout': 40`, traffic.Shape{Hole: true, Again: 40 * msec})
	f(`timeout 'timeout': 30`, traffic.Shape{Hole: true, Again: 30 * msec})
	f(`reset_peer 'timeout': 40`, traffic.Shape{Hole: true, Again: 10 * msec})
	f(`reset_peer 'timeout': 30`, traffic.Shape{Hole: true, End: traffic.EndReset})
	f(`reset_peer 'timeout': 0`, traffic.Shape{Hole: true, End: traffic.EndReset})
	f(`slicer_x 'average_size': 0`[:6]+` 'average_size': 64, 'delay': 250`, traffic.Shape{Slice: 64, Pause: 250 * time.Microsecond})
	f(`limit_data 'bytes': 120`, traffic.Shape{Limit: 120, End: traffic.EndClose})
	f(`limit_data 'bytes': 0`, traffic.Shape{End: traffic.EndClose})
	f(`latency 'latency': 9223372036854775807`, traffic.Shape{Delay: forever})
	f(`latency 'latency': 50; bandwidth 'rate': 7; limit_data 'bytes': 9; slow_close 'delay': 1`,
		traffic.Shape{Delay: 50 * msec, Rate: 7000, Limit: 9, End: traffic.EndClose, Linger: msec})
	f(`latency 'latency': 50; timeout 'timeout': 0`, traffic.Shape{Delay: 50 * msec, Hole: true})
}

func TestTimeoutEndsAnIdleStreamAndTakesItsConnectionsAlong(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		c := r.flow("p")
		require.Zero(t, c.down(10))
		r.toxic(`{"type": "timeout", "attributes": {"timeout": 40}}`)
		require.Equal(t, 40*time.Millisecond, c.down(0).Again)
		time.Sleep(40 * time.Millisecond)
		require.Equal(t, traffic.Shape{Hole: true, End: traffic.EndClose}, c.down(0))

		r.change("timeout_downstream", `{"attributes": {"timeout": 0}}`)
		require.Equal(t, traffic.Shape{Hole: true}, c.down(0), "a change begins anew")
		r.must("DELETE", "/proxies/p/toxics/timeout_downstream", "")
		require.Equal(t, traffic.Shape{End: traffic.EndClose}, c.down(0))
		require.Zero(t, r.flow("p").down(1), "a new connection")
	})
}

func TestLimitCountsFromWhenTheToxicWasAdded(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		c := r.flow("p")
		c.down(1000)
		r.toxic(`{"type": "limit_data", "attributes": {"bytes": 100}}`)
		want := traffic.Shape{Limit: 1100, End: traffic.EndClose}
		require.Equal(t, want, c.down(0))
		require.Equal(t, want, c.down(60))
		r.toxic(`{"type": "latency", "name": "other", "attributes": {"latency": 5}}`)
		r.change("limit_data_downstream", `{"toxicity": 1}`)
		require.Equal(t, int64(1100), c.down(0).Limit, "a change goes on counting")

		r.change("limit_data_downstream", `{"attributes": {"bytes": 50}}`)
		require.Zero(t, c.down(0).End, "nothing has come since")
		require.Equal(t, int64(1050), c.down(1).Limit)
	})
}

func TestChangedToxicLeavesOthersAlone(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		r.toxic(`{"type": "timeout", "attributes": {"timeout": 100}}`)
		r.toxic(`{"type": "latency", "attributes": {"latency": 10}}`)
		c := r.flow("p")
		require.Equal(t, 100*time.Millisecond, c.down(0).Again)
		time.Sleep(60 * time.Millisecond)
		r.change("latency_downstream", `{"attributes": {"latency": 20}}`)
		require.Equal(t, traffic.Shape{Delay: 20 * time.Millisecond, Hole: true, Again: 40 * time.Millisecond}, c.down(0))
	})
}

func TestBlockedStreamPassesWhenTheRateIsRaised(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		r.toxic(`{"type": "latency", "attributes": {"latency": 10}}`)
		r.toxic(`{"type": "bandwidth", "attributes": {"rate": 0}}`)
		c := r.flow("p")
		require.GreaterOrEqual(t, c.down(5).Delay, forever)
		r.change("bandwidth_downstream", `{"attributes": {"rate": 8}}`)
		require.Equal(t, traffic.Shape{Rate: 8000}, c.down(0), "lets go of what waits for good")
		require.Equal(t, traffic.Shape{Rate: 8000, Delay: 10 * time.Millisecond}, c.down(1))

		r.change("bandwidth_downstream", `{"attributes": {"rate": 0}}`)
		c.down(5)
		r.must("POST", "/reset", "")
		require.Zero(t, c.down(0))
	})
}

func TestJitterIsDrawnOnceForEachPiece(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		r.toxic(`{"type": "latency", "attributes": {"latency": 20, "jitter": 30}}`)
		c := r.flow("p")
		least, most := time.Hour, time.Duration(0)
		for range 2000 {
			d := c.down(1).Delay
			require.Equal(t, d, c.down(0).Delay, "asked again for the same piece")
			least, most = min(least, d), max(most, d)
		}
		require.Zero(t, least, "never below")
		require.InDelta(t, 50*time.Millisecond, most, float64(time.Millisecond))
	})
}

func TestSlicesVary(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		r.toxic(`{"type": "slicer", "attributes": {"average_size": 10, "size_variation": 4}}`)
		c := r.flow("p")
		seen := make(map[int]bool)
		for range 500 {
			seen[c.down(1).Slice] = true
		}
		require.Len(t, seen, 9)
		require.True(t, seen[6] && seen[14])
		r.change("slicer_downstream", `{"attributes": {"average_size": 1, "size_variation": 4}}`)
		require.Equal(t, 1, c.down(1).Slice)
	})
}

// The draw belongs to seed, proxy, toxic and the number of the connection, and is no other after a change.
func TestToxicityTakesTheSameConnections(t *testing.T) {
	taken := func(toxicity string, between func(r *rig)) (hits []int) {
		inBubble(t, func(r *rig) {
			r.proxied()
			r.toxic(`{"type": "latency", "attributes": {"latency": 10}, "toxicity": ` + toxicity + `}`)
			for n := range 1000 {
				c := r.flow("p")
				first := c.down(1).Delay
				if between != nil && n%10 == 0 {
					between(r)
					require.Equal(t, first, c.down(1).Delay)
				}
				if first > 0 {
					hits = append(hits, n)
				}
			}
		})
		return hits
	}
	some := taken("0.3", nil)
	require.InDelta(t, 300, len(some), 75, "5 standard deviations")
	require.Equal(t, some, taken("0.3", nil))
	require.Equal(t, some, taken("0.3", func(r *rig) {
		r.toxic(`{"type": "slow_close"}`)
		r.change("latency_downstream", `{"toxicity": 0.3}`)
		r.must("DELETE", "/proxies/p/toxics/slow_close_downstream", "")
	}))
	require.Subset(t, taken("0.4", nil), some)
	require.Len(t, taken("1", nil), 1000)
	require.Empty(t, taken("0", nil))
}

func TestStreamEndsWithItsProxy(t *testing.T) {
	f := func(method, path, body string) {
		t.Helper()
		inBubble(t, func(r *rig) {
			r.proxied()
			c := r.flow("p")
			require.Zero(t, c.down(1))
			r.must(method, path, body)
			require.Equal(t, traffic.Shape{End: traffic.EndClose}, c.down(0))
			require.Equal(t, traffic.Shape{End: traffic.EndClose}, c.s.Shape(traffic.Upstream))
			require.NotZero(t, r.books.woken.Load())
		})
	}
	f("POST", "/proxies/p", `{"enabled": false}`)
	f("POST", "/proxies/p", `{"upstream": "127.0.0.1:2"}`)
	f("PATCH", "/proxies/p", `{"listen": "127.0.0.1:7"}`)
	f("DELETE", "/proxies/p", ``)
	f("POST", "/populate", `[{"name": "p", "listen": "127.0.0.1:1234", "upstream": "127.0.0.1:2"}]`)

	inBubble(t, func(r *rig) { // and goes on where nothing changes
		r.proxied()
		c := r.flow("p")
		r.must("POST", "/proxies/p", `{"enabled": true, "listen": "127.0.0.1:1234", "upstream": "127.0.0.1:1"}`)
		r.must("POST", "/populate", `[{"name": "p", "listen": "localhost:1234", "upstream": "127.0.0.1:1"}]`)
		require.Zero(t, c.down(1))
	})
}

func TestConnectionThatCameDuringAChangeIsReset(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.proxied()
		_, a := r.open("other")
		require.True(t, a.Reset)
		r.must("POST", "/proxies/p", `{"enabled": false}`)
		_, a = r.open("p")
		require.True(t, a.Reset)
	})
}

// A stream without toxics is asked for every piece it carries.
func TestShapeAllocatesNothing(t *testing.T) {
	r := newRig(t)
	r.proxied()
	c := r.flow("p")
	f := func() { c.down(1) }
	require.Zero(t, testing.AllocsPerRun(100, f))
	for _, kind := range []string{"latency", "bandwidth", "slicer", "timeout", "limit_data", "slow_close"} {
		r.toxic(`{"type": "` + kind + `", "attributes": {"latency": 1, "jitter": 1, "rate": 1, "average_size": 5, "size_variation": 2, "timeout": 5, "bytes": 100000}}`)
	}
	f()
	require.Zero(t, testing.AllocsPerRun(100, f))
}

func BenchmarkShapeWithoutToxics(b *testing.B) {
	s := New(Config{Carrier: new(books), Resolve: noNames})
	w := &wanted{Name: "p", Listen: new(string), Upstream: new(string)}
	*w.Listen, *w.Upstream = "127.0.0.1:0", "127.0.0.1:1"
	_, err := s.create(b.Context(), w)
	require.NoError(b, err)
	x := &traffic.Exchange{Dst: serviceName("p")}
	shaper := s.Filter().Request(x).Harm.Shaper
	for b.Loop() {
		shaper.Shape(traffic.Downstream)
	}
}
