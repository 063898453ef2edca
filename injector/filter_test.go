package injector

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWhatIsLeftOnTheExchange(t *testing.T) {
	f := func(fault Fault, share conf.Share, action traffic.Action, injected traffic.Injected, flags traffic.Flags) {
		t.Helper()
		table := NewTable(Config{})
		l := slow("a")
		l.Fault, l.Share = fault, share
		add(t, table, l)
		x := call(1)
		require.Equal(t, action, plain(table.Filter().Request(x)))
		require.Equal(t, injected, x.Fault)
		require.Equal(t, flags, x.Flags)
	}
	ms := time.Millisecond
	f(&Latency{Delay: 5 * ms}, 1, traffic.Action{Wait: 5 * ms}, traffic.Injected{Rule: "a", Kind: "latency", Hit: true, Delay: 5 * ms}, traffic.FlagDelayInjected)
	f(&Latency{Delay: 5 * ms}, 0, traffic.Action{}, traffic.Injected{Rule: "a", Kind: "latency"}, 0)
	f(&Abort{}, 1, traffic.Action{Reply: traffic.Reply{Status: 503, Body: "aborted by an injected fault\n", Flag: traffic.FlagFaultInjected}},
		traffic.Injected{Rule: "a", Kind: "abort", Hit: true}, traffic.FlagFaultInjected)
	f(&Abort{Status: 429}, 1, traffic.Action{Reply: traffic.Reply{Status: 429, Body: "aborted by an injected fault\n", Flag: traffic.FlagFaultInjected}},
		traffic.Injected{Rule: "a", Kind: "abort", Hit: true}, traffic.FlagFaultInjected)
	f(&Reset{}, 1, traffic.Action{Reset: true}, traffic.Injected{Rule: "a", Kind: "reset", Hit: true}, traffic.FlagFaultInjected)
	f(&odd{}, 1, traffic.Action{}, traffic.Injected{Rule: "a", Kind: "test-odd", Hit: true}, 0)
}

func TestLatencyStaysWithinItsJitter(t *testing.T) {
	l := &Latency{Delay: 50 * time.Millisecond, Jitter: 5 * time.Millisecond}
	table := NewTable(Config{})
	lease := slow("a")
	lease.Fault = l
	add(t, table, lease)
	low, high := time.Hour, time.Duration(0)
	for id := range uint64(10_000) {
		wait := table.Filter().Request(call(id)).Wait
		low, high = min(low, wait), max(high, wait)
	}
	require.GreaterOrEqual(t, low, 45*time.Millisecond)
	require.Less(t, low, 45*time.Millisecond+10*time.Microsecond)
	require.LessOrEqual(t, high, 55*time.Millisecond)
	require.Greater(t, high, 55*time.Millisecond-10*time.Microsecond)
}

func TestShareIsDelivered(t *testing.T) {
	table := NewTable(Config{})
	l := slow("a")
	l.Share, l.Seed = 0.1, 42
	add(t, table, l)
	filter := table.Filter()
	for id := range uint64(100_000) {
		x := call(id)
		filter.Request(x)
		filter.Response(x)
	}
	s := status(t, table, "a")
	require.EqualValues(t, 100_000, s.Looked)
	require.InDelta(t, 0.1, s.Delivered, 0.003)
	require.Equal(t, float64(s.Struck)/100_000, s.Delivered)
}

func TestSameSeedSameDecisionsWhateverTheOrder(t *testing.T) {
	decide := func(seed uint64, id string, order []uint64) map[uint64]traffic.Action {
		table := NewTable(Config{})
		l := slow(id)
		l.Fault, l.Share, l.Seed = &Latency{Delay: time.Second, Jitter: time.Second}, 0.3, seed
		add(t, table, l)
		got := make(map[uint64]traffic.Action)
		for _, x := range order {
			got[x] = plain(table.Filter().Request(call(x)))
		}
		return got
	}
	var order []uint64
	for id := range uint64(2000) {
		order = append(order, id)
	}
	first := decide(1, "a", order)
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	require.Equal(t, first, decide(1, "a", order))
	slices.Reverse(order)
	require.Equal(t, first, decide(1, "a", order))
	require.NotEqual(t, first, decide(2, "a", order), "the seed matters")
	require.NotEqual(t, first, decide(1, "b", order), "the lease matters")
}

// Over random leases and exchanges: nobody is struck who is uncoloured, of another lane, or on another edge.
func TestOnlyTheLaneAndEdgeAskedForAreHit(t *testing.T) {
	services := []string{"gateway", "shake", "packet"}
	side := rapid.SampledFrom(append([]string{"*"}, services...))
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(Config{})
		filter := table.Filter()
		leases := map[string]Lease{}
		for range rapid.IntRange(0, 5).Draw(t, "leases") {
			l := slow("")
			l.Lane = rapid.SampledFrom([]traffic.Color{"red", "blue"}).Draw(t, "lane")
			l.Edge = Edge{side.Draw(t, "caller"), side.Draw(t, "callee")}
			l.Share = 0.5
			l.Seed = rapid.Uint64().Draw(t, "seed")
			s, err := table.Add(l)
			require.NoError(t, err)
			leases[s.ID] = l
		}
		looked := uint64(0)
		for id := range uint64(50) {
			x := &traffic.Exchange{
				ID:    id,
				Src:   rapid.SampledFrom(append([]string{""}, services...)).Draw(t, "src"),
				Dst:   rapid.SampledFrom(services).Draw(t, "dst"),
				Color: rapid.SampledFrom([]traffic.Color{"", "", "red", "blue", "green", "?"}).Draw(t, "colour"),
			}
			a := filter.Request(x)
			concerns := func(l Lease) bool {
				return x.Color == l.Lane && (l.Edge.Caller == "*" || l.Edge.Caller == x.Src) && (l.Edge.Callee == "*" || l.Edge.Callee == x.Dst)
			}
			any := false
			for _, l := range leases {
				any = any || concerns(l)
			}
			require.Equal(t, any, x.Fault.Rule != "", "looked at exactly when some lease is about it")
			if x.Fault.Rule != "" {
				require.True(t, concerns(leases[x.Fault.Rule]))
				looked++
			}
			require.True(t, x.Fault.Hit == (a != traffic.Action{}))
			if x.Color == "" {
				require.Zero(t, a)
				require.Zero(t, x.Fault)
				require.Zero(t, x.Flags)
			}
			filter.Response(x)
		}
		for _, s := range table.List() {
			require.Zero(t, s.Active)
		}
	})
}

func TestOlderLeaseStrikesFirstAndEachKeepsItsShare(t *testing.T) {
	table := NewTable(Config{})
	filter := table.Filter()
	a, b := slow("a"), slow("b")
	a.Share, b.Share, b.Fault = 0.2, 0.5, &Abort{}
	add(t, table, a)
	add(t, table, b)
	for id := range uint64(20_000) {
		x := call(id)
		filter.Request(x)
		require.False(t, !x.Fault.Hit && x.Fault.Rule != "a", "spared by both: the older one is told of")
	}
	sa, sb := status(t, table, "a"), status(t, table, "b")
	require.Equal(t, sa.Looked-sa.Struck, sb.Looked)
	require.InDelta(t, 0.2, sa.Delivered, 0.015)
	require.InDelta(t, 0.5, sb.Delivered, 0.015)
}

func TestDuplicateRegistrationIsOurMistake(t *testing.T) {
	require.PanicsWithValue(t, "BUG: fault latency is registered twice", func() {
		register("latency", func() Fault { return new(Latency) })
	})
	require.Panics(t, func() { Kind(nil) })
}

func TestLookingAllocatesNothingWhenNothingMatches(t *testing.T) {
	table := NewTable(Config{})
	filter := table.Filter()
	x := call(1)
	f := func() { require.Zero(t, testing.AllocsPerRun(100, func() { filter.Request(x) })) }
	f()
	add(t, table, slow("a"))
	x.Dst = "shake"
	f()
	x.Color = ""
	f()
}

func BenchmarkRequest(b *testing.B) {
	f := func(name string, lease bool, x *traffic.Exchange) {
		b.Run(name, func(b *testing.B) {
			table := NewTable(Config{})
			if lease {
				l := slow("a")
				l.Share, l.TTL = 0.1, MaxTTL
				add(b, table, l)
			}
			filter := table.Filter()
			b.ReportAllocs()
			for b.Loop() {
				filter.Request(x)
				filter.Response(x)
				x.Fault = traffic.Injected{}
				x.ID++
			}
		})
	}
	other := call(1)
	other.Dst = "shake"
	f("empty", false, call(1))
	f("uncoloured", true, &traffic.Exchange{Src: "gateway", Dst: "packet"})
	f("other-edge", true, other)
	f("looked-at", true, call(1))
}
