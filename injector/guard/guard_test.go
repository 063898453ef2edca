package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// A world is a table and its guards, which look at traffic that the test makes.
type world struct {
	t     *testing.T
	set   *Set
	table *injector.Table
	next  uint64
}

// inWorld runs f in a bubble of virtual time, with the guards looking.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.table = injector.NewTable(injector.Config{Guarded: func(id string) error { return w.set.Guarded(id) }})
		w.set = NewSet(Config{Trip: w.table.Trip})
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.set.Run(ctx) }()
		f(w)
		stop()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// begin is the request half of an exchange, and what it returns the response half.
func (w *world) begin(lane traffic.Color, service string) (end func(status int)) {
	w.next++
	x := &traffic.Exchange{ID: w.next, Start: time.Now().UnixNano(), Dst: service, Color: lane}
	w.set.Seen().Request(x)
	w.set.UnderWay().Request(x)
	began := time.Now()
	return func(status int) {
		x.Response.Status, x.Latency = status, time.Since(began)
		w.set.UnderWay().Response(x)
		w.set.Seen().Response(x)
	}
}

// carry lets traffic flow in lane and baseline for a while, 100 exchanges a second each, which end at once.
func (w *world) carry(d time.Duration, red, base func() int) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if red != nil {
			w.begin("red", "gateway")(red())
		}
		if base != nil {
			w.begin("", "gateway")(base())
		}
	}
}

func answers(status int) func() int { return func() int { return status } }

func (w *world) arm(g Guard) {
	w.t.Helper()
	_, err := w.set.Arm(g)
	require.NoError(w.t, err)
}

func (w *world) state(id, state, why string) {
	w.t.Helper()
	st, err := w.set.Status(id)
	require.NoError(w.t, err)
	require.Equal(w.t, state, st.State, "%+v", st)
	require.Contains(w.t, st.Why, why)
}

func (w *world) lease(id, guard string) error {
	_, err := w.table.Add(injector.Lease{
		ID: id, Fault: &injector.Reset{}, Lane: "red", Edge: injector.Edge{Caller: "*", Callee: "gateway"}, Share: 1, TTL: time.Minute, Guard: guard,
	})
	return err
}

func (w *world) leaseState(id string) string {
	w.t.Helper()
	s, ok := w.table.Status(id)
	require.True(w.t, ok)
	return s.State
}

var strict = Guard{ID: "g", Lane: "red", Service: "gateway", ErrorRate: 0.02, P99: 200 * time.Millisecond, TTL: 2 * time.Minute}

func TestGuardTripsOnErrorsAndEndsItsLeases(t *testing.T) {
	inWorld(t, func(w *world) {
		w.arm(strict)
		require.ErrorIs(t, w.lease("a", "g"), injector.ErrGuard, "it has seen nothing yet")
		w.state("g", Waiting, "")
		w.carry(3*time.Second, answers(200), answers(200))
		w.state("g", Ready, "")
		require.NoError(t, w.lease("a", "g"))
		require.NoError(t, w.lease("b", ""))
		broken := time.Now()
		w.carry(300*time.Millisecond, answers(503), answers(200))
		w.state("g", Tripped, "lane red: error rate")
		require.Equal(t, injector.Tripped, w.leaseState("a"))
		require.Equal(t, injector.Live, w.leaseState("b"), "it names no guard")
		st, err := w.set.Status("g")
		require.NoError(t, err)
		require.Less(t, st.Tripped.Sub(broken), 300*time.Millisecond)
		require.ErrorIs(t, w.lease("c", "g"), injector.ErrGuard)
	})
}

func TestGuardWatchesTheBaselineToo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.arm(strict)
		alone := strict
		alone.ID, alone.Baseline = "alone", None
		w.arm(alone)
		w.carry(3*time.Second, answers(200), answers(200))
		w.carry(300*time.Millisecond, answers(200), answers(500))
		w.state("g", Tripped, "baseline: error rate")
		w.state("alone", Ready, "")
	})
}

func TestMissingDataTrips(t *testing.T) {
	inWorld(t, func(w *world) {
		w.arm(strict)
		w.carry(3*time.Second, answers(200), answers(200))
		require.NoError(t, w.lease("a", "g"))
		w.carry(3*time.Second, nil, answers(200))
		w.state("g", Tripped, "lane red: ")
		w.state("g", Tripped, "of 10 exchanges in 2s")
		require.Equal(t, injector.Tripped, w.leaseState("a"))
	})
}

// Exchanges that never come back are slow ones, and there is nothing else to see of a black hole.
func TestWhatDoesNotComeBackCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.arm(strict)
		w.carry(3*time.Second, answers(200), answers(200))
		w.state("g", Ready, "")
		began := time.Now()
		var held []func(int)
		for time.Since(began) < 600*time.Millisecond {
			held = append(held, w.begin("red", "gateway"))
			w.begin("", "gateway")(200)
			time.Sleep(10 * time.Millisecond)
		}
		w.state("g", Tripped, "p99 above 200ms")
		st, err := w.set.Status("g")
		require.NoError(t, err)
		require.Positive(t, st.Lane.Overdue)
		for _, end := range held {
			end(200)
		}
	})
}

func TestP99IsHeldExactly(t *testing.T) {
	f := func(slow, of uint64, want Verdict) {
		t.Helper()
		var r Reading
		for i := range of {
			d := 100 * time.Millisecond
			if i < slow {
				d = 300 * time.Millisecond
			}
			r.Latency.Record(d)
			r.Count++
		}
		r.countSlow(200 * time.Millisecond)
		v, _ := (&Limits{P99: 200 * time.Millisecond}).judge(&r)
		require.Equal(t, want, v)
		require.Equal(t, want == Broken, r.Latency.Quantile(0.99) > 200*time.Millisecond)
	}
	f(0, 1000, OK)
	f(10, 1000, OK)
	f(11, 1000, Broken)
	f(1000, 1000, Broken)
	f(1, 1, Broken)
	f(0, 0, Missing)
}

func TestKOfN(t *testing.T) {
	now := time.Now()
	f := func(k, n int, looks string, trips bool) {
		t.Helper()
		g := strict
		g.K, g.N = k, n
		a := newArmed(g.filled(), 0, now)
		a.count(now, Look{}, nil, OK, "")
		on := true
		for _, c := range looks {
			require.True(t, on, "it trips at the last look")
			on = a.count(now, Look{}, nil, map[rune]Verdict{'.': OK, 'x': Broken, '-': Missing}[c], "")
		}
		require.Equal(t, trips, !on)
	}
	f(0, 0, "..x..x..x", false)
	f(0, 0, "..x.x", true)
	f(0, 0, ".x-", true)
	f(1, 1, "...x", true)
	f(3, 5, "x...x...xx", false)
	f(3, 5, "x..xx", true)
}

func TestTripByHand(t *testing.T) {
	inWorld(t, func(w *world) {
		w.arm(strict)
		w.carry(3*time.Second, answers(200), answers(200))
		require.NoError(t, w.lease("a", "g"))
		waited := make(chan Status, 1)
		go func() {
			st, _ := w.set.Wait(context.Background(), "g")
			waited <- st
		}()
		trip, err := w.set.Trip("g")
		require.NoError(t, err)
		require.Equal(t, []string{"a"}, trip.Ended)
		require.Equal(t, Tripped, trip.Guard.State)
		require.Equal(t, Tripped, (<-waited).State)
		w.arm(strict)
		w.state("g", Ready, "") // the same windows: what they have seen still counts
		_, err = w.set.Arm(strict)
		require.ErrorIs(t, err, ErrTaken)
		_, err = w.set.Trip("h")
		require.ErrorIs(t, err, ErrNoGuard)
	})
}

func TestGuardEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		short := strict
		short.TTL = 4 * time.Second
		w.arm(short)
		w.carry(3*time.Second, answers(200), answers(200))
		require.NoError(t, w.lease("a", "g"))
		w.carry(1200*time.Millisecond, answers(200), answers(200))
		w.state("g", Over, "its ttl of 4s is over")
		require.Equal(t, injector.Tripped, w.leaseState("a"), "a fault without its guard is not offered")

		w.arm(strict)
		require.NoError(t, w.lease("b", "g"))
		_, err := w.set.Remove("g")
		require.NoError(t, err)
		w.state("g", Over, "removed")
		require.Equal(t, injector.Tripped, w.leaseState("b"))
		_, err = w.set.Remove("g")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Nil(t, w.set.watched.Load(), "nothing is watched any more")
	})
}

func TestSLO(t *testing.T) {
	inWorld(t, func(w *world) {
		ask := func(lane traffic.Color, service string, l Limits) SLO {
			o, err := w.set.SLO(context.Background(), lane, service, l)
			require.NoError(t, err)
			return o
		}
		go w.carry(5*time.Second, answers(200), answers(500))
		o := ask("red", "gateway", Limits{ErrorRate: 0.02, P99: time.Second})
		require.Equal(t, Pass, o.Verdict)
		require.InDelta(t, 100, float64(o.Count), 5)
		o = ask("", "", Limits{ErrorRate: 0.02})
		require.Equal(t, Fail, o.Verdict)
		require.InDelta(t, 1, o.ErrorRate, 0)
		require.Equal(t, NoData, ask("blue", "gateway", Limits{}).Verdict)
		time.Sleep(2 * time.Second)
		at := time.Now()
		o = ask("red", "gateway", Limits{})
		require.Equal(t, at, time.Now(), "only the first question waits")
		require.InDelta(t, 205, float64(o.Count), 10)
		merged := Merge([]SLO{o, o}, Limits{})
		require.Equal(t, 2*o.Count, merged.Count)
		require.EqualValues(t, 2*o.Count, merged.Latency.Count())
		time.Sleep(time.Minute)
		require.Nil(t, w.set.watched.Load())
	})
}

func TestGuardText(t *testing.T) {
	set := NewSet(Config{Trip: func(string) []string { return nil }})
	f := func(yaml, want string) {
		t.Helper()
		var g Guard
		err := conf.Decode("g.yaml", []byte(yaml), &g)
		if err == nil {
			_, err = set.Arm(g)
		}
		require.EqualError(t, err, want)
	}
	f(`{lane: red, eror_rate: 2%}`, `g.yaml:1: no key "eror_rate" (did you mean "error_rate"?)`)
	f(`{error_rate: 2%, ttl: 1m}`, `arm guard: lane: say which`)
	f(`{lane: baseline, error_rate: 2%, ttl: 1m}`, `arm guard: lane: not a colour: "baseline"; the baseline is watched beside it`)
	f(`{lane: red, ttl: 1m}`, `arm guard: error_rate, p99: say at least one, such as error_rate: 2%`)
	f(`{lane: red, error_rate: 2%}`, `arm guard: ttl: say how long, such as 2m`)
	f(`{lane: red, error_rate: 2%, ttl: 1h}`, `arm guard: ttl: 1h0m0s is above the maximum of 30m0s`)
	f(`{lane: red, error_rate: 2%, k: 3, n: 2, ttl: 1m}`, `arm guard: k, n: want 1 <= k <= n <= 50, found 3 of 2`)
	f(`{lane: red, p99: -1s, ttl: 1m}`, `arm guard: p99: want at most 1m0s`)
	f(`{lane: red, error_rate: 2%, baseline: some, ttl: 1m}`, `arm guard: baseline: want same or none, found "some"`)
	f(`{lane: red, error_rate: 2%, min: -1, ttl: 1m}`, `arm guard: min: -1; want at least 1 exchange`)
	f(`{id: a/b, lane: red, error_rate: 2%, ttl: 1m}`, `arm guard: id: want letters, digits, dots, underscores and hyphens, at most 63, found "a/b"`)
}

func FuzzGuard(f *testing.F) {
	f.Add(`{"lane":"red","error_rate":"2%","p99":"800ms","ttl":"2m"}`)
	f.Add(`{"lane":"red","baseline":"none","k":1,"n":1,"min":3}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, data string) {
		var g Guard
		if err := g.UnmarshalJSON([]byte(data)); err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		filled := g.filled()
		if err := filled.check(injector.MaxTTL); err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		again, err := json.Marshal(g)
		require.NoError(t, err)
		var back Guard
		require.NoError(t, back.UnmarshalJSON(again), string(again))
		require.Equal(t, g, back)
	})
}

func TestLookingCostsNothingWithoutGuards(t *testing.T) {
	set := NewSet(Config{})
	x := &traffic.Exchange{Color: "red", Dst: "gateway"}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		set.UnderWay().Request(x)
		set.UnderWay().Response(x)
		set.Seen().Response(x)
	}))
}

func BenchmarkFilters(b *testing.B) {
	for _, armed := range []bool{false, true} {
		b.Run(fmt.Sprintf("armed=%v", armed), func(b *testing.B) {
			set := NewSet(Config{})
			if armed {
				_, err := set.Arm(strict)
				require.NoError(b, err)
			}
			seen, underWay := set.Seen(), set.UnderWay()
			x := &traffic.Exchange{Color: "red", Dst: "gateway", Start: time.Now().UnixNano(), Latency: time.Millisecond}
			x.Response.Status = 200
			b.ReportAllocs()
			for b.Loop() {
				x.Start += 10_000
				underWay.Request(x)
				underWay.Response(x)
				seen.Response(x)
			}
		})
	}
}
