package loopkit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

const tick = 1 << tickBits

// Against a list of due times: whatever is armed, moved, stopped and removed, each timer fires once, in the
// first turn after it is due, never early, and the wheel asks for that turn in time.
func TestWheelAgainstList(t *testing.T) {
	for seed := range uint64(60) {
		draw := rand.New(rand.NewPCG(seed, 3))
		var w Wheel[int]
		timers := make([]Timer[int], 1+draw.IntN(300))
		for i := range timers {
			timers[i].Owner = &i
		}
		due := make([]int64, len(timers)) // the list; 0: stopped
		now := 1 + draw.Int64N(1<<40)
		far := int64(1) << (10 + draw.IntN(40)) // how far away timers are in this run
		for range 2000 {
			switch i := draw.IntN(len(timers)); draw.IntN(8) {
			case 0:
				w.Stop(&timers[i])
				due[i] = 0
			case 1:
				w.Remove(&timers[i])
				due[i] = 0
			case 2: // time passes: as the wheel asks, or not
				at := now + draw.Int64N(far)
				if next, ok := w.Next(); ok && draw.IntN(2) == 0 {
					at = max(now, next)
				}
				now = at
				for t0 := w.Expired(now); t0 != nil; t0 = w.Expired(now) {
					k := *t0.Owner
					require.NotZero(t, due[k], "seed %d: a stopped timer fired", seed)
					require.LessOrEqual(t, due[k], now, "seed %d: early", seed)
					due[k] = 0
				}
			default:
				due[i] = now + 1 + draw.Int64N(far)
				w.Arm(&timers[i], due[i])
			}
			soonest := int64(math.MaxInt64)
			for i, d := range due {
				if timers[i].Armed() != (d != 0) {
					t.Fatalf("seed %d: timer %d is armed: %t", seed, i, timers[i].Armed())
				}
				if d != 0 {
					soonest = min(soonest, d)
				}
			}
			if next, ok := w.Next(); soonest != math.MaxInt64 && (!ok || next >= soonest+tick) {
				t.Fatalf("seed %d: the wheel asks for %d, %t; the first timer is due at %d", seed, next, ok, soonest)
			}
		}
		for i := range timers {
			w.Remove(&timers[i])
		}
		require.Zero(t, w.Len())
		require.Nil(t, w.Expired(math.MaxInt64-tick))
		_, ok := w.Next()
		require.False(t, ok)
	}
}

// A loop that sleeps until the wheel asks wakes a handful of times for one timer, however far away.
func TestWheelAsksSeldom(t *testing.T) {
	for _, due := range []int64{1, tick, 1e6, 1e9, 3600e9, 86400e9, 1e17, math.MaxInt64 - tick} {
		var w Wheel[int]
		timer := Timer[int]{}
		w.Arm(&timer, due)
		turns := 0
		for fired := (*Timer[int])(nil); fired == nil; turns++ {
			at, ok := w.Next()
			require.True(t, ok)
			fired = w.Expired(max(at, 1))
			require.LessOrEqual(t, turns, rings)
		}
	}
}

// Timers armed from within a firing one: also for a time that has passed.
func TestWheelWithinExpired(t *testing.T) {
	var w Wheel[int]
	var a, b Timer[int]
	w.Arm(&a, 10*tick)
	w.Arm(&b, 10*tick)
	fired := w.Expired(20 * tick)
	other := &a
	if fired == &a {
		other = &b
	}
	w.Arm(other, 30*tick)
	w.Arm(fired, 15*tick)
	require.Same(t, fired, w.Expired(20*tick))
	require.Nil(t, w.Expired(20*tick))
	require.Same(t, other, w.Expired(30*tick))
	require.Zero(t, w.Len())
}

func TestWheelAllocs(t *testing.T) {
	var w Wheel[int]
	timers := make([]Timer[int], 64)
	now := int64(1)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		now += 1e6
		for i := range timers {
			w.Arm(&timers[i], now+int64(i)*1e6)
		}
		for w.Expired(now) != nil {
		}
	}))
}

func BenchmarkWheel(b *testing.B) {
	const conns = 20_000
	f := func(name string, step func(w *Wheel[int], t *Timer[int], now int64)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var w Wheel[int]
			timers := make([]Timer[int], conns)
			order := rand.New(rand.NewPCG(1, 1)).Perm(conns)
			now := int64(1)
			for n := range b.N {
				now += 5000 // a request each 5 us
				step(&w, &timers[order[n%conns]], now)
				for w.Expired(now) != nil {
				}
			}
		})
	}
	f("later", func(w *Wheel[int], t *Timer[int], now int64) { w.Arm(t, now+30e9) })
	f("request", func(w *Wheel[int], t *Timer[int], now int64) { // its timeout, then the idle one
		w.Arm(t, now+10e9)
		w.Arm(t, now+60e9)
	})
	f("fires", func(w *Wheel[int], t *Timer[int], now int64) { w.Arm(t, now+1e6) })
}
