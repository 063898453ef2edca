package replayer

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// A loopSource yields the same exchange n times, in turn to 64 sessions.
type loopSource struct {
	x    traffic.Exchange
	n, i uint64
}

func (s *loopSource) Next(_ context.Context, x *traffic.Exchange) error {
	if s.i == s.n {
		return io.EOF
	}
	*x = s.x
	x.ID, x.Session, x.Seq = s.i, s.i%64, s.i/64
	s.i++
	return nil
}

func (s *loopSource) Close() error { return nil }

// As fast as answers come from a cheap server in this process: 64 connections, each with the next request
// waiting. The server's share is in the figure, about half.
func BenchmarkReplay(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				answer := []byte(answerOK)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 2 {
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	b.ReportAllocs()
	res, err := Run(b.Context(), Config{To: ln.Addr().String(), Lane: "red", UnsafeTarget: true, Rate: conf.Rate{PerSecond: 1e7}, Timeout: time.Minute, Grace: time.Minute},
		&loopSource{x: exchange(1, 0, 0), n: uint64(b.N)})
	require.NoError(b, err)
	require.EqualValues(b, b.N, res.Ledger.Passed)
	b.ReportMetric(res.Achieved, "requests/s")
}

// What it takes to turn an exchange into bytes, on the feed's goroutine.
func BenchmarkRender(b *testing.B) {
	cfg := Config{Lane: "red", Seed: 1}
	p, x, it := plannerOf(cfg), exchange(1, 0, 0), new(item)
	x.Request.Headers = append(x.Request.Headers, headers("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
		"Accept", "*/*", "Cookie", "session=0123456789abcdef0123456789abcdef", "Baggage", "user=alice")...)
	b.ReportAllocs()
	for b.Loop() {
		if reason := p.plan(&x, it); reason != "" {
			b.Fatal(reason)
		}
	}
}

func TestPlanDoesNotAllocate(t *testing.T) {
	cfg := Config{Lane: "red", Seed: 1}
	p, x, it := plannerOf(cfg), exchange(1, 0, 0), new(item)
	x.Request.Headers = append(x.Request.Headers, headers("Baggage", "user=alice,lane=blue")...)
	require.Empty(t, p.plan(&x, it))
	require.Zero(t, testing.AllocsPerRun(100, func() { p.plan(&x, it) }))
}
