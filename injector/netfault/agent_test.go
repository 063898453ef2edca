package netfault

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Both IP versions, there and back: never early, and gone when the lease is.
func TestDelayBetweenNamespaces(t *testing.T) {
	l := newLab(t)
	a := l.agent()
	for _, host := range []string{"10.78.0.2", "10.78.1.2", "fd78::2"} {
		c := l.dial(l.echo(host), 0)
		before, _ := probe(t, c, 20, ms, 200*ms)
		require.Len(t, before, 20, host)
		end := l.add(a, Lease{Fault: FaultImpair, From: "shop", To: "bank", Way: Both, Impair: Impair{Delay: 20 * ms}})
		during, _ := probe(t, c, 50, 2*ms, time.Second)
		s := end()
		after, _ := probe(t, c, 20, ms, 200*ms)
		require.Len(t, s.Ways, 2)
		for _, w := range s.Ways {
			require.EqualValues(t, 50, w.Packets)
			require.EqualValues(t, 50, w.Passed)
			require.Zero(t, w.Unsent)
		}
		require.Len(t, during, 50)
		require.GreaterOrEqual(t, quantile(during, 0), 40*ms)
		require.Len(t, after, 20)
		require.Less(t, quantile(after, 0), 40*ms)
	}
}

// Out of 2,000 datagrams, as many are lost and doubled as the agent says, and as were asked.
func TestLossAndDoublesBetweenNamespaces(t *testing.T) {
	l := newLab(t)
	a, c := l.agent(), l.dial(l.echo("10.78.0.2"), 0)
	const n = 2000
	end := l.add(a, Lease{Fault: FaultImpair, From: "shop", To: "bank", Seed: 7, Impair: Impair{Loss: 0.1, Duplicate: 0.05}})
	took, order := probe(t, c, n, 300*time.Microsecond, time.Second)
	w := end().Ways[0]
	require.Equal(t, meansOwn, w.Means)
	require.EqualValues(t, n, w.Packets)
	require.EqualValues(t, w.Packets-w.Lost, len(took))
	require.EqualValues(t, w.Duplicated, len(order)-len(took))
	require.InDelta(t, 0.1*n, float64(w.Lost), 70)
	require.InDelta(t, 0.05*n, float64(w.Duplicated), 50)

	// The same seed does the same again; the fates of another are others.
	missing := func(seed uint64) (ids []int) {
		end := l.add(a, Lease{ID: "again", Fault: FaultImpair, From: "shop", To: "bank", Seed: seed, Impair: Impair{Loss: 0.3}})
		took, _ := probe(t, c, 200, ms, 500*ms)
		end()
		for i := range 200 {
			if _, ok := took[i]; !ok {
				ids = append(ids, i)
			}
		}
		return ids
	}
	first := missing(7)
	require.Equal(t, first, missing(7))
	require.NotEqual(t, first, missing(8))
}

func TestJitterAndReorderBetweenNamespaces(t *testing.T) {
	l := newLab(t)
	a, c := l.agent(), l.dial(l.echo("10.78.0.2"), 0)
	const n = 400
	end := l.add(a, Lease{Fault: FaultImpair, From: "shop", To: "bank", Seed: 7, Impair: Impair{Delay: 20 * ms, Jitter: 10 * ms, Reorder: 0.1}})
	took, order := probe(t, c, n, ms, time.Second)
	w := end().Ways[0]
	require.Len(t, took, n)
	early := 0
	for _, d := range took {
		if d < 10*ms {
			early++
		}
	}
	require.LessOrEqual(t, early, int(w.Reordered)) // a busy machine makes them late too
	require.InDelta(t, 0.1*n, float64(w.Reordered), 35)
	swaps := 0
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			swaps++
		}
	}
	require.Greater(t, swaps, 20)
}

// Nothing passes, and nobody is told; the other way, and what was there before, stays.
func TestPartition(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a := l.agent()
	for _, host := range []string{"10.78.0.2", "fd78::2"} {
		addr := l.echo(host)
		c := l.dial(addr, 0)
		alive := func(want int) {
			t.Helper()
			took, _ := probe(t, c, 20, ms, 300*ms)
			require.Len(t, took, want)
		}
		alive(20)
		end := l.add(a, Lease{Fault: FaultPartition, From: "shop", To: "bank", Way: Both})
		alive(0)
		s := end()
		require.EqualValues(t, 20, s.Ways[0].Lost)
		require.Zero(t, s.Ways[1].Lost, "there was nothing to answer")
		alive(20)
		end = l.add(a, Lease{Fault: FaultPartition, From: "bank", To: "shop"})
		alive(0)
		s = end()
		require.EqualValues(t, 20, s.Ways[0].Lost, "the answers alone")
		alive(20)
	}
}

// Only what carries the mark suffers.
func TestMarkedFlows(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a, addr := l.agent(), l.echo("10.78.0.2")
	plain, marked, other := l.dial(addr, 0), l.dial(addr, 0x2a), l.dial(addr, 0x2b)
	end := l.add(a, Lease{Fault: FaultImpair, From: "shop", Mark: 0x2a, Impair: Impair{Delay: 100 * ms}})
	for c, hit := range map[net.Conn]bool{plain: false, marked: true, other: false} {
		took, _ := probe(t, c, 30, ms, 500*ms)
		require.Len(t, took, 30)
		require.Equal(t, hit, quantile(took, 0) >= 100*ms)
	}
	require.EqualValues(t, 30, end().Ways[0].Packets)
	end = l.add(a, Lease{Fault: FaultPartition, From: "shop", To: "bank", Mark: 0x2a})
	for c, want := range map[net.Conn]int{plain: 30, marked: 0, other: 30} {
		took, _ := probe(t, c, 30, ms, 500*ms)
		require.Len(t, took, want)
	}
	require.EqualValues(t, 30, end().Ways[0].Lost)
}

// What is held when a lease ends passes at once.
func TestHeldPacketsPassAtTheEnd(t *testing.T) {
	l := newLab(t)
	a, c := l.agent(), l.dial(l.echo("10.78.0.2"), 0)
	end := l.add(a, Lease{Fault: FaultImpair, From: "shop", To: "bank", Impair: Impair{Delay: time.Minute}})
	took, _ := probe(t, c, 20, ms, 100*ms)
	require.Empty(t, took)
	require.Eventually(t, func() bool { return a.List()[0].Ways[0].Packets == 20 }, 20*time.Second, 10*ms)
	w := end().Ways[0]
	require.Contains(t, []string{meansOwn, meansKernel}, w.Means)
	if w.Means == meansKernel {
		return // the kernel's queue goes with its device
	}
	require.EqualValues(t, 20, w.Passed)
	buf := make([]byte, 100)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	for range 20 {
		_, err := c.Read(buf)
		require.NoError(t, err)
	}
}
