package proxy_test

import (
	"bufio"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// How exact a wait is, as 64 clients in a closed loop see it: asked 50 ms, reported in milliseconds. Clients,
// proxy and service share the process, so that what is measured is an upper bound.
func BenchmarkWait(b *testing.B) {
	for _, name := range choose.Names {
		b.Run(name, func(b *testing.B) { benchmarkWait(b, func(c *proxy.Config) { c.Engine = name }) })
	}
}

func benchmarkWait(b *testing.B, on edit) {
	const clients, wait = 64, 50 * time.Millisecond
	service := raw(b, func(_ int, c net.Conn, r *bufio.Reader) {
		for {
			if _, err := readHead(r); err != nil {
				return
			}
			io.WriteString(c, answer)
		}
	})
	grip, held := &grip{}, &stopwatch{}
	r := start(b, service, on, func(c *proxy.Config) { c.Slots, c.Loops = nil, 1 }, slot(proxy.Fault, waits{traffic.Action{Wait: wait, Harm: &traffic.Harm{Grip: grip}}}), slot(proxy.Fault, held))
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			time.Sleep(wait * time.Duration(i) / clients) // else all are due at once, and wait for one another
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			mine := make([]time.Duration, 0, b.N)
			in := make([]byte, 1000)
			for range b.N {
				begun := time.Now()
				io.WriteString(c, ask)
				if n, err := c.Read(in); err != nil || n != len(answer) {
					b.Error(n, err)
					return
				}
				mine = append(mine, time.Since(begun))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	require.NotEmpty(b, took)
	slices.Sort(took)
	slices.Sort(held.took)
	quantile := func(all []time.Duration, q float64) float64 { return float64(all[int(q*float64(len(all)-1))]) / 1e6 }
	at := func(q float64) float64 { return quantile(took, q) }
	b.ReportMetric(quantile(held.took, 0.5), "held-p50-ms")
	b.ReportMetric(quantile(held.took, 0.99), "held-p99-ms")
	b.ReportMetric(at(0), "min-ms")
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
	b.ReportMetric(0, "ns/op")
}

// stopwatch sees how long requests were held by the filter above it. It is for one loop.
type stopwatch struct{ took []time.Duration }

func (s *stopwatch) Request(x *traffic.Exchange) traffic.Action {
	s.took = append(s.took, time.Duration(time.Now().UnixNano()-x.Start))
	return traffic.Action{}
}
func (*stopwatch) Response(*traffic.Exchange) {}

// waits is a filter that keeps no books.
type waits struct{ action traffic.Action }

func (w waits) Request(*traffic.Exchange) traffic.Action { return w.action }
func (waits) Response(*traffic.Exchange)                 {}
