package redpacket

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAmountsAreTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "seeds")
		budget := rapid.Int64Range(int64(n), maxBudget).Draw(t, "budget")
		seed := rapid.Uint64().Draw(t, "seed")
		a := amounts(seed, n, budget)
		sum := int64(0)
		for _, x := range a {
			require.Positive(t, x)
			sum += x
		}
		require.Equal(t, budget, sum)
		require.Equal(t, a, amounts(seed, n, budget))
	})
	a := amounts(1, 10_000, 1_000_000)
	different := map[int64]bool{}
	for _, x := range a {
		different[x] = true
	}
	require.Greater(t, len(different), 100, "packets of a surprise are not all alike")
}

// Any order of taking, opening and giving back keeps the books of the pool.
func TestPoolKeepsItsBooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPool(rapid.IntRange(1, 6).Draw(t, "seeds"))
		a := amounts(1, len(p.mu.holder), 600)
		var held []int
		has := map[int]string{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch user := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "user"); rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				if seed, why := p.take(user); why == "" {
					require.Empty(t, has[seed], "seed %d was somebody's", seed)
					has[seed] = user
					held = append(held, seed)
				}
			case 2:
				if len(held) > 0 {
					p.open(held[0])
					p.open(held[0])
					held = held[1:]
				}
			case 3:
				if len(held) > 0 {
					p.giveBack(held[0])
					delete(has, held[0])
					held = held[1:]
				}
			}
			of := map[string]int{}
			for _, user := range has {
				of[user]++
				require.LessOrEqual(t, of[user], 3)
			}
			for _, i := range p.invariants(a) {
				require.True(t, i.OK, i.Detail)
			}
		}
		c := p.invariants(a)[0].Counts
		require.EqualValues(t, len(held), c["in_flight"])
		require.EqualValues(t, len(has)-len(held), c["opened"])
	})
}

func TestSeedOf(t *testing.T) {
	f := func(id string, want int, ok bool) {
		t.Helper()
		n, good := seedOf(id, 10)
		require.Equal(t, ok, good)
		require.Equal(t, want, n)
	}
	f("p0", 0, true)
	f("red.p9", 9, true)
	f(packetID("red", 7), 7, true)
	f("p10", 0, false)
	f("p-1", 0, false)
	f("p01", 0, false) // one packet, one name: the account goes by it
	f("p+1", 0, false)
	f("p", 0, false)
	f("9", 0, false)
	f("", 0, false)
}

func TestSettlerRepeatsWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSettler(clock.System, time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.run(ctx)
		}()
		began := time.Now()
		var at []time.Duration
		s.later(func(context.Context) bool {
			at = append(at, time.Since(began))
			return len(at) == 7
		})
		time.Sleep(time.Minute)
		cancel()
		<-ended
		ms := time.Millisecond
		require.Equal(t, []time.Duration{200 * ms, 600 * ms, 1400 * ms, 3000 * ms, 5000 * ms, 7000 * ms, 9000 * ms}, at)
		require.EqualValues(t, 7, s.retries.Load())
	})
}

// The invariants must be able to fail: each is broken by hand once.
func TestBrokenBooksAreReported(t *testing.T) {
	cfg, err := Config{Seeds: 10, Clock: clock.System}.withDefaults()
	require.NoError(t, err)
	node := func(service string) *node {
		c := cfg
		c.Service = service
		return newNode(c)
	}
	f := func(service string, invariant int, damage func(any)) {
		t.Helper()
		n := node(service)
		require.True(t, n.report().OK)
		damage(n.service)
		r := n.report()
		require.False(t, r.OK)
		require.False(t, r.Invariants[invariant].OK, r.Invariants)
	}
	f("shake", 0, func(s any) { p := s.(*shake).pool; p.mu.free = append(p.mu.free, 0); p.take("a") })
	f("shake", 0, func(s any) { p := s.(*shake).pool; p.mu.free = p.mu.free[1:] })
	f("shake", 1, func(s any) {
		p := s.(*shake).pool
		for range 4 {
			p.mu.perUser["a"] = 0
			p.take("a")
		}
	})
	f("packet", 0, func(s any) { s.(*packet).amounts[3]++ })
	f("packet", 1, func(s any) { s.(*packet).open(1, "a"); s.(*packet).open(1, "b") })
	f("account", 0, func(s any) { a := s.(*account); a.credit(creditBody{"p1", "u1", 5}); a.mu.balances["u1"].Balance++ })
	f("account", 1, func(s any) {
		a := s.(*account)
		a.credit(creditBody{"p1", "u1", 5})
		a.credit(creditBody{"p1", "u2", 5})
	})
	f("account", 2, func(s any) {
		for _, p := range []string{"p1", "p2", "p3", "p4"} {
			s.(*account).credit(creditBody{p, "u1", 5})
		}
	})

	good := func() (s, p, a Report) {
		return Report{Invariants: []Invariant{{Counts: counts{"money": 100, "money_in_pool": 50, "money_in_flight": 10, "opened": 4, "in_flight": 1}}}},
			Report{Invariants: []Invariant{{Counts: counts{"budget": 100, "money_in_flight": 5, "opened": 5, "credited": 4, "in_flight": 1}}}},
			Report{Invariants: []Invariant{{Counts: counts{"money_credited": 40, "credited": 4}}}}
	}
	audit := func(want bool, damage func(s, p, a counts)) {
		t.Helper()
		s, p, a := good()
		damage(s.counts(), p.counts(), a.counts())
		ok := true
		for _, i := range Audit(s, p, a) {
			ok = ok && i.OK
		}
		require.Equal(t, want, ok)
	}
	audit(true, func(s, p, a counts) {})
	audit(false, func(s, p, a counts) { a["money_credited"] = 51 })
	audit(false, func(s, p, a counts) { a["money_credited"] = 30 })
	audit(false, func(s, p, a counts) { s["money"] = 99 })
	audit(false, func(s, p, a counts) { a["credited"] = 6 })
	audit(false, func(s, p, a counts) { a["credited"] = 3 })
	audit(false, func(s, p, a counts) { p["opened"] = 6 })
	audit(false, func(s, p, a counts) { p["opened"] = 3 })
}
