package replayer

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
	"github.com/redlane/redlane/traffic/traffictest"
)

// BenchmarkPlan is the way from a tape on disk to items in line, 200,000 of them per operation. What they take is CPU time
// of the whole process, for decompression or collecting garbage elsewhere would be no less work. The pacer's part is
// taking them out of the line.
func BenchmarkPlan(b *testing.B) {
	f := func(name string, make func(*rand.Rand, int) []traffic.Exchange) {
		dir := b.TempDir()
		w, err := tape.Create(dir, tape.Config{})
		require.NoError(b, err)
		xs := make(rand.New(rand.NewPCG(1, 0)), 4000)
		span := xs[len(xs)-1].Start - xs[0].Start
		const n = 200_000
		for i := range n {
			x := &xs[i%len(xs)]
			require.NoError(b, w.Append(x))
			x.Start += span
		}
		require.NoError(b, w.Close())
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				require.EqualValues(b, n, planTape(b, dir))
			}
			used := cpu(b) - began
			b.ReportMetric(float64(n*b.N)/used.Seconds(), "requests/s-of-CPU")
			b.ReportMetric(float64(used.Nanoseconds())/float64(n*b.N), "CPU-ns/request")
		})
	}
	f("small", traffictest.Small)
	f("rich", traffictest.Rich)
}

// planTape plans all of a tape and returns how many items came out of the line.
func planTape(b *testing.B, dir string) (taken int) {
	r, err := tape.Open(dir)
	require.NoError(b, err)
	defer func() { require.NoError(b, r.Close()) }()
	run, err := newRun(Config{To: "127.0.0.1:1", Lane: "red", UnsafeTarget: true, Rate: conf.Rate{PerSecond: 1e5}, Window: 64 << 20})
	require.NoError(b, err)
	more := make(chan struct{}, 1)
	run.ahead = newAhead(16<<20, 1, func(int) { token(more) })
	f := run.newFeed(r)
	start := clock.Precise.Now().Add(time.Hour) // nothing is overdue
	f.start.Store(&start)
	done := spawn(func() error { return f.run(b.Context()) })
	var batch []*item
	for ended := false; !ended; {
		if batch, _, _, ended = f.ahead.due(0, never, 0, batch[:0], nil); len(batch) == 0 && !ended {
			<-more
		}
		for _, it := range batch {
			f.window.give(it.cost)
			it.clean()
		}
		run.stock.give(batch)
		taken += len(batch)
	}
	require.NoError(b, <-done)
	return taken
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
