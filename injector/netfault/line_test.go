package netfault

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

func number(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// pass offers n packets of size bytes, one every gap, and returns what came out and when, by number.
func pass(l *Line, n, size int, gap time.Duration) (order []int, at map[int]time.Duration) {
	at = make(map[int]time.Duration)
	take := func(now time.Duration) {
		for p := l.Due(now); p != nil; p = l.Due(now) {
			id := int(binary.BigEndian.Uint32(p))
			order = append(order, id)
			at[id] = now
		}
	}
	for i := range n {
		now := time.Duration(i) * gap
		for next, ok := l.Next(); ok && next <= now; next, ok = l.Next() {
			take(next)
		}
		packet := append(number(i), make([]byte, max(0, size-4))...)
		l.Offer(now, packet)
	}
	for next, ok := l.Next(); ok; next, ok = l.Next() {
		take(next)
	}
	return order, at
}

func TestZeroImpairChangesNothing(t *testing.T) {
	order, at := pass(NewLine(Impair{}, 1, "a"), 1000, 100, ms)
	require.Len(t, order, 1000)
	for i, id := range order {
		require.Equal(t, i, id)
		require.Equal(t, time.Duration(i)*ms, at[i])
	}
}

func TestSharesAreDelivered(t *testing.T) {
	const n = 200_000
	l := NewLine(Impair{Loss: 0.02, Duplicate: 0.01, Reorder: 0.05, Delay: 20 * ms}, 42, "a")
	order, _ := pass(l, n, 100, 100*time.Microsecond)
	c := l.Counts()
	near := func(got uint64, share, of float64) {
		t.Helper()
		require.InDelta(t, share*of, float64(got), 5*math.Sqrt(of*share*(1-share)))
	}
	near(c.Lost, 0.02, n)
	near(c.Duplicated, 0.01, n-float64(c.Lost))
	near(c.Reordered, 0.05, n-float64(c.Lost))
	require.EqualValues(t, n, c.Packets)
	require.EqualValues(t, n-c.Lost+c.Duplicated, len(order))
	require.EqualValues(t, len(order), c.Passed)
}

// Runs are as long as asked, and the share of all that is lost stays what was asked.
func TestLossesInRuns(t *testing.T) {
	const n = 400_000
	l := NewLine(Impair{Loss: 0.1, Burst: 8}, 42, "a")
	_, at := pass(l, n, 100, ms)
	runs, lost, within := 0, 0, false
	for i := range n {
		_, there := at[i]
		if !there {
			lost++
			if !within {
				runs++
			}
		}
		within = !there
	}
	require.InDelta(t, 0.1, float64(lost)/n, 0.01)
	require.InDelta(t, 8, float64(lost)/float64(runs), 0.4)
}

func TestDelayAndJitter(t *testing.T) {
	_, at := pass(NewLine(Impair{Delay: 20 * ms, Jitter: 5 * ms}, 1, "a"), 20_000, 100, 50*time.Microsecond)
	low, high := time.Hour, time.Duration(0)
	for i := range 20_000 {
		d := at[i] - time.Duration(i)*50*time.Microsecond
		low, high = min(low, d), max(high, d)
	}
	require.InDelta(t, float64(15*ms), float64(low), float64(10*time.Microsecond))
	require.InDelta(t, float64(25*ms), float64(high), float64(10*time.Microsecond))
	require.GreaterOrEqual(t, low, 15*ms)
}

// Reordered packets overtake those that wait, and only they are out of order.
func TestReorderOvertakes(t *testing.T) {
	l := NewLine(Impair{Delay: 10 * ms, Reorder: 0.1}, 1, "a")
	order, at := pass(l, 10_000, 100, ms)
	early, highest := 0, -1
	for _, id := range order {
		if at[id] == time.Duration(id)*ms {
			early++
			continue
		}
		require.Greater(t, id, highest)
		highest = id
	}
	require.EqualValues(t, early, l.Counts().Reordered)
	require.InDelta(t, 1000, early, 150)
}

func TestRateAndItsQueue(t *testing.T) {
	// Offered 1000 bytes every ms, which is 1 MB/s, to a way of 100 kB/s: a tenth gets through, evenly.
	l := NewLine(Impair{Rate: 100_000}, 1, "a")
	order, at := pass(l, 10_000, 1000, ms)
	require.InDelta(t, 1000, len(order), 20)
	for i := 1; i < len(order); i++ {
		require.GreaterOrEqual(t, at[order[i]]-at[order[i-1]], 10*ms)
	}
	require.EqualValues(t, 10_000, l.Counts().Overflow+l.Counts().Passed)

	// Below the rate nothing is lost, and each packet is as late as its own length makes it.
	order, at = pass(NewLine(Impair{Rate: 100_000}, 1, "a"), 100, 100, 10*ms)
	require.Len(t, order, 100)
	require.Equal(t, ms, at[0])
	require.Equal(t, 991*ms, at[99])
}

func TestMemoryIsBounded(t *testing.T) {
	l := NewLine(Impair{Delay: time.Minute}, 1, "a")
	for i := range 2000 {
		l.Offer(time.Duration(i), make([]byte, 64<<10))
	}
	require.LessOrEqual(t, l.held, maxHeld)
	require.EqualValues(t, 2000-maxHeld/(64<<10), l.Counts().Overflow)
}

func TestSameSeedSameFate(t *testing.T) {
	i := Impair{Loss: 0.3, Duplicate: 0.2, Reorder: 0.2, Delay: 10 * ms, Jitter: 3 * ms}
	a, _ := pass(NewLine(i, 7, "f1 shop bank"), 5000, 100, ms)
	b, _ := pass(NewLine(i, 7, "f1 shop bank"), 5000, 100, ms)
	require.Equal(t, a, b)
	for _, other := range []*Line{NewLine(i, 8, "f1 shop bank"), NewLine(i, 7, "f1 bank shop")} {
		c, _ := pass(other, 5000, 100, ms)
		require.NotEqual(t, a, c)
	}
	// A stronger delay does not change who is lost.
	stronger := i
	stronger.Delay, stronger.Duplicate, stronger.Jitter = 50*ms, 0, 0
	_, at := pass(NewLine(i, 7, "x"), 5000, 100, ms)
	_, atStronger := pass(NewLine(stronger, 7, "x"), 5000, 100, ms)
	require.Len(t, atStronger, len(at))
}

// Whatever the impairment: nothing is early by more than its jitter, and the ledger balances.
func TestLineLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := Impair{Delay: time.Duration(rapid.IntRange(1, 50).Draw(t, "delay")) * ms}
		i.Jitter = time.Duration(rapid.IntRange(0, int(i.Delay/ms)).Draw(t, "jitter")) * ms
		i.Loss = share(t, "loss")
		i.Duplicate = share(t, "duplicate")
		if rapid.Bool().Draw(t, "slow") {
			i.Rate = 50_000
		}
		require.NoError(t, i.check())
		l := NewLine(i, rapid.Uint64().Draw(t, "seed"), "a")
		n := rapid.IntRange(1, 300).Draw(t, "n")
		order, at := pass(l, n, 200, ms)
		c := l.Counts()
		require.EqualValues(t, n, c.Packets)
		require.EqualValues(t, len(order), c.Passed)
		require.Equal(t, c.Packets, c.Lost+c.Overflow+c.Passed-c.Duplicated)
		require.Zero(t, l.held)
		for id, when := range at {
			require.GreaterOrEqual(t, when, time.Duration(id)*ms+i.Delay-i.Jitter)
		}
	})
}
