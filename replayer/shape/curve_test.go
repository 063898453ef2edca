package shape

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func per(n float64) Rate {
	r, err := rateOf(n)
	if err != nil {
		panic(err)
	}
	return r
}

func TestDueByHand(t *testing.T) {
	f := func(text string, n uint64, want time.Duration) {
		t.Helper()
		s, err := parse(text)
		require.NoError(t, err)
		c, err := New(s.stages)
		require.NoError(t, err)
		got, ok := c.Due(n)
		if want < 0 {
			require.False(t, ok)
			return
		}
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	f("2000/s", 0, 0)
	f("2000/s", 3, 1500*time.Microsecond)
	f("3/s", 1, 333_333_334) // not before a third of a second
	f("3/s", 3, time.Second)
	f("3/s", 3_000_000_000, 1_000_000_000*time.Second)
	f("0.000001/s", 9_223, 9_223_000_000*time.Second)
	f("0.000001/s", 9_224, 1<<63-1) // 292 years
	f("100/s for 10s", 999, 9990*time.Millisecond)
	f("100/s for 10s", 1000, -1)
	f("100/s for 10s, 0/s for 5s, 100/s", 1000, 15*time.Second) // the pause sends nothing
	f("0/s for 5s, 100/s", 0, 5*time.Second)
	f("0/s..100/s over 10s", 0, 0)
	f("0/s..100/s over 10s", 5, time.Second) // 5t²
	f("0/s..100/s over 10s", 125, 5*time.Second)
	f("0/s..100/s over 10s", 499, 9989994995) // root of 499/5 s
	f("0/s..100/s over 10s", 500, -1)
	f("100/s..0/s over 10s", 375, 5*time.Second)
	f("100/s..0/s over 10s", 499, 9552786405) // 10 s less the root of a fifth
	f("100/s over 10s, 100/s for 1s, 0/s over 10s", 600+375, 16*time.Second)
	f("0.5/s for 1s, 10/s for 1s", 1, 1050*time.Millisecond) // half of it came before
	f("spike 10/s to 1000/s at 1s for 1s", 10, time.Second)
	f("spike 10/s to 1000/s at 1s for 1s", 1010, 2*time.Second)
	f("spike 10/s to 1000/s at 1s for 1s", 1020, 3*time.Second)
}

var (
	someRate = rapid.OneOf(rapid.Just(Rate(0)), rapid.Custom(func(t *rapid.T) Rate { return Rate(rapid.Uint64Range(0, 1e15).Draw(t, "rate")) }),
		rapid.Custom(func(t *rapid.T) Rate { return Rate(rapid.Uint64Range(0, 1e4).Draw(t, "/s") * 1e6) }))
	someCurve = rapid.Custom(func(t *rapid.T) []Stage {
		n := rapid.IntRange(1, 6).Draw(t, "stages")
		stages := make([]Stage, n)
		for i := range stages {
			stages[i] = Stage{From: someRate.Draw(t, "from"), To: someRate.Draw(t, "to"), For: time.Duration(rapid.Int64Range(1, int64(MaxSpan/6)).Draw(t, "for"))}
			if rapid.Bool().Draw(t, "even") {
				stages[i].To = stages[i].From
			}
			if rapid.Bool().Draw(t, "short") {
				stages[i].For = stages[i].For%(100*time.Second) + 1
			}
		}
		stages[rapid.IntRange(0, n-1).Draw(t, "busy")].From = 7_500_000
		return stages
	})
)

// count is N(t), in requests, computed with fractions.
func count(stages []Stage, t time.Duration) *big.Rat {
	sum := new(big.Rat)
	for _, s := range stages {
		d := s.For
		if d == 0 {
			d = 1<<63 - 1
		}
		part := min(t, d)
		from, to := new(big.Rat).SetInt64(int64(s.From)), new(big.Rat).SetInt64(int64(s.To))
		reached := new(big.Rat).Sub(to, from) // the rate at the end of part
		reached.Mul(reached, big.NewRat(int64(part), int64(d))).Add(reached, from)
		area := reached.Add(reached, from)
		area.Mul(area, big.NewRat(int64(part), 2_000_000_000_000_000))
		sum.Add(sum, area)
		if t -= part; t == 0 {
			break
		}
	}
	return sum
}

// The inverse is exact: at its due time N has reached n, a nanosecond before it had not, and N grows from
// there on. Every request that the curve holds is due once, and no other.
func TestDueIsTheExactInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := someCurve.Draw(t, "curve")
		c, err := New(stages)
		require.NoError(t, err)
		total, bounded := c.Len()
		require.True(t, bounded)
		span, _ := c.Span()
		require.Equal(t, -1, new(big.Rat).Sub(count(stages, span), new(big.Rat).SetUint64(total)).Cmp(big.NewRat(1, 1)))
		_, ok := c.Due(total)
		require.False(t, ok)
		cur := Cursor{curve: c}
		for _, n := range []uint64{0, total - 1, rapid.Uint64Range(0, total-1).Draw(t, "n"), rapid.Uint64Range(0, total-1).Draw(t, "m")} {
			due, ok := c.Due(n)
			require.True(t, ok)
			want := new(big.Rat).SetUint64(n)
			require.GreaterOrEqual(t, count(stages, due).Cmp(want), 0, "request %d at %d: too early", n, due)
			if due < span {
				require.Positive(t, count(stages, due+1).Cmp(want), "request %d at %d: in a pause", n, due)
			}
			if due > 0 {
				require.LessOrEqual(t, count(stages, due-1).Cmp(want), 0, "request %d at %d: too late", n, due)
				if count(stages, due-1).Cmp(want) == 0 { // only after a pause
					require.Zero(t, count(stages, due).Cmp(want))
				}
			}
			again, _ := cur.Due(n)
			require.Equal(t, due, again, "a cursor that has been elsewhere")
		}
	})
}

// The billionth request of an awkward rate is where fractions put it, and so are those around it.
func TestNoDriftOverABillion(t *testing.T) {
	for _, r := range []Rate{per(3), per(33.333333), per(2999.999999), per(7e5 + 1e-6)} {
		c, err := New([]Stage{{From: r, To: r}})
		require.NoError(t, err)
		cur := Cursor{curve: c}
		for _, n := range []uint64{1, 999_999, 1_000_000_000, 1_000_000_001, 10_000_000_000} {
			exact := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(1_000_000_000_000_000))
			q, rem := exact.QuoRem(exact, new(big.Int).SetUint64(uint64(r)), new(big.Int))
			if rem.Sign() > 0 {
				q.Add(q, big.NewInt(1))
			}
			due, ok := cur.Due(n)
			require.True(t, ok)
			require.Equal(t, q.Int64(), int64(due), "request %d at %d millionths/s", n, r)
		}
	}
}

// What is asked for is what comes, second by second: the number of requests due in each differs from the
// area under the rate by less than one.
func TestEachSecondHasItsRequests(t *testing.T) {
	stages := []Stage{{From: 0, To: per(5000), For: 3 * time.Second}, {From: per(5000), To: per(5000), For: 2 * time.Second}, {From: per(5000), To: 0, For: time.Second}}
	c, err := New(stages)
	require.NoError(t, err)
	cur, by := Cursor{curve: c}, make([]int, 7)
	last := time.Duration(-1)
	for n := uint64(0); ; n++ {
		due, ok := cur.Due(n)
		if !ok {
			require.EqualValues(t, 20_000, n)
			break
		}
		require.Greater(t, due, last)
		last = due
		by[due/time.Second]++
	}
	for second := range 6 {
		area, _ := new(big.Rat).Sub(count(stages, time.Duration(second+1)*time.Second), count(stages, time.Duration(second)*time.Second)).Float64()
		require.InDelta(t, area, by[second], 1, "second %d", second)
	}
}

func TestNewRefuses(t *testing.T) {
	f := func(want string, stages ...Stage) {
		t.Helper()
		_, err := New(stages)
		require.EqualError(t, err, want)
	}
	f("no stages")
	f("its rate is never above 0", Stage{For: time.Second})
	f("stage 1: it needs a duration", Stage{From: 1, To: 1}, Stage{From: 1, To: 1})
	f("stage 1: it needs a duration", Stage{From: 1, To: 2})
	f("stage 1: a rate above 1e9/s", Stage{From: MaxRate + 1, To: 1, For: 1})
	f("stage 2: the shape lasts longer than 366 days", Stage{From: 1, To: 1, For: MaxSpan}, Stage{From: 1, To: 1, For: 1})
}
