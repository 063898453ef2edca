package clickhouse

import (
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

const benchRows = 200_000

// cpu is what this process has used, in user and system mode.
func cpu() time.Duration {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// BenchmarkStore is tape to ClickHouse: decode, columns, insert, acknowledge. BenchmarkRead is the way
// back in order. us/row is CPU of this process; wall rates vary by 2 on a shared machine.
func BenchmarkStore(b *testing.B) { benchStore(b, func(testing.TB, string) {}) }

func BenchmarkRead(b *testing.B) {
	benchStore(b, func(b testing.TB, url string) {
		began, used := time.Now(), cpu()
		src, err := Open(b.Context(), url, "")
		require.NoError(b, err)
		defer src.Close()
		var x traffic.Exchange
		n, last := 0, int64(0)
		for ; ; n++ {
			err := src.Next(b.Context(), &x)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(b, err)
			require.GreaterOrEqual(b, x.Start, last)
			last = x.Start
		}
		require.Equal(b, benchRows, n)
		report(b.(*testing.B), n, time.Since(began), cpu()-used)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.(*testing.B).ReportMetric(float64(m.HeapInuse)/1e6, "heap-MB")
	})
}

func benchStore(b *testing.B, then func(testing.TB, string)) {
	dir := filepath.Join(b.TempDir(), "tape")
	w, err := tape.Create(dir, tape.Config{Codec: tape.S2})
	require.NoError(b, err)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range benchRows {
		x := usual(r, i)
		require.NoError(b, w.Append(&x))
	}
	require.NoError(b, w.Close())
	runtime.GC()
	for b.Loop() {
		s := chtest.Start(b)
		url := "clickhouse://" + s.Addr + "/lab?recording=bench"
		u, err := New(Config{To: url, Tape: dir})
		require.NoError(b, err)
		began, used := time.Now(), cpu()
		require.NoError(b, u.Run(b.Context()))
		report(b, benchRows, time.Since(began), cpu()-used)
		then(b, url)
		s.Stop()
	}
}

func report(b *testing.B, rows int, took, used time.Duration) {
	b.ReportMetric(float64(rows)/took.Seconds(), "rows/s")
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(rows), "us/row")
}
