package host

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How long it takes until a fault is there, and until it is not there any more: the pause of a process, with a
// keeper of its own each time.
func BenchmarkArmAndEnd(b *testing.B) {
	s := startService(b)
	a := run(b, file(b, Target{PidFile: s.pidFile()}))
	l := lease(b, `"fault": "pause", "id": "p"`)
	var arm, end []time.Duration
	for b.Loop() {
		began := time.Now()
		_, err := a.Add(l)
		require.NoError(b, err)
		armed := time.Now()
		_, err = a.Remove("p")
		require.NoError(b, err)
		arm, end = append(arm, armed.Sub(began)), append(end, time.Since(armed))
	}
	percentiles(b, arm, "arm")
	percentiles(b, end, "end")
}

// How long a fault outlives an agent that is killed, as by kill -9.
func BenchmarkKilledAgent(b *testing.B) {
	s := startService(b)
	target := "pid_file: " + s.pidFile()
	var left []time.Duration
	for b.Loop() {
		d := startDoomed(b, b.TempDir(), target, `"fault": "pause"`)
		require.Equal(b, "T", s.state())
		began := time.Now()
		require.NoError(b, d.cmd.Process.Kill())
		for s.state() == "T" {
			require.Less(b, time.Since(began), 30*time.Second)
			time.Sleep(100 * time.Microsecond)
		}
		left = append(left, time.Since(began))
		_ = d.cmd.Wait()
	}
	percentiles(b, left, "left")
}

func percentiles(b *testing.B, all []time.Duration, what string) {
	slices.Sort(all)
	ms := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000 }
	b.ReportMetric(ms(0.5), what+"-p50-ms")
	b.ReportMetric(ms(0.99), what+"-p99-ms")
	b.ReportMetric(ms(1), what+"-max-ms")
}
