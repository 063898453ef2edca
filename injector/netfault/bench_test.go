package netfault

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was asked and what came of it, between two namespaces of this machine:
//
//	go test -run '^$' -bench Asked -benchtime 1x ./injector/netfault
func BenchmarkAsked(b *testing.B) {
	f := func(name string, i Impair, n int, gap time.Duration, report func(b *testing.B, took map[int]time.Duration, w WayDone)) {
		b.Run(name, func(b *testing.B) {
			l := newLab(b)
			a, c := l.agent(), l.dial(l.echo("10.78.0.2"), 0)
			for b.Loop() {
				end := l.add(a, Lease{Fault: FaultImpair, From: "shop", To: "bank", Seed: 7, Impair: i})
				took, _ := probe(b, c, n, gap, time.Second)
				report(b, took, end().Ways[0])
			}
		})
	}
	late := func(b *testing.B, took map[int]time.Duration, _ WayDone) {
		for q, unit := range map[float64]string{0: "min-ms", .5: "p50-ms", .99: "p99-ms", 1: "max-ms"} {
			b.ReportMetric(float64(quantile(took, q))/1e6, unit)
		}
	}
	shares := func(b *testing.B, took map[int]time.Duration, w WayDone) {
		of := float64(w.Packets)
		b.ReportMetric(100*(1-float64(len(took))/of), "%lost")
		b.ReportMetric(100*float64(w.Duplicated)/of, "%doubled")
		b.ReportMetric(100*float64(w.Reordered)/of, "%reordered")
	}
	f("none", Impair{Duplicate: 1e-9}, 3000, ms, late)
	f("delay=20ms", Impair{Delay: 20 * ms}, 3000, ms, late)
	f("delay=20ms±5ms", Impair{Delay: 20 * ms, Jitter: 5 * ms}, 3000, ms, late)
	f("loss=2%", Impair{Loss: 0.02}, 20_000, 100*time.Microsecond, shares)
	f("loss=10%,burst=5", Impair{Loss: 0.1, Burst: 5}, 20_000, 100*time.Microsecond, shares)
	f("duplicate=1%,reorder=5%", Impair{Duplicate: 0.01, Reorder: 0.05, Delay: 5 * ms}, 20_000, 100*time.Microsecond, shares)
	for name, rate := range map[string]Impair{"rate=256KiB": {Rate: 256 << 10}, "rate=2MiB": {Rate: 2 << 20}, "rate=none": {Duplicate: 1e-9}} {
		b.Run(name, func(b *testing.B) {
			l := newLab(b)
			a := l.agent()
			client, server := l.pipe()
			for b.Loop() {
				end := l.add(a, Lease{Fault: FaultImpair, From: "shop", To: "bank", Seed: 7, Impair: rate})
				n := max(int(rate.Rate)*4, 1<<20)
				if rate.Rate == 0 {
					n = 256 << 20
				}
				took := l.send(client, server, n)
				w := end().Ways[0]
				b.ReportMetric(float64(n)/took.Seconds()/1024, "KiB/s")
				b.ReportMetric(float64(w.Bytes)/took.Seconds()/1024, "KiB/s-with-headers")
			}
		})
	}
}

// How long after its agent was killed a fault is over, and all traces of it gone.
func BenchmarkUndoneAfterKill(b *testing.B) {
	l := newLab(b)
	shop, bank := l.state(l.shop), l.state(l.bank)
	text, err := json.Marshal(everyLease()[0])
	require.NoError(b, err)
	var took []time.Duration
	for b.Loop() {
		agent, _ := l.process(string(text))
		begin := time.Now()
		require.NoError(b, agent.Process.Kill())
		for !slices.Equal(shop, l.state(l.shop)) || !slices.Equal(bank, l.state(l.bank)) {
			time.Sleep(ms)
			require.Less(b, time.Since(begin), time.Minute)
		}
		took = append(took, time.Since(begin))
		require.Error(b, agent.Wait())
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)-1])/1e6, "max-ms")
}
