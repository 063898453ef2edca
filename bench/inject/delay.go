package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
	"github.com/redlane/redlane/injector"
)

var _ = parts.Add("delay", []string{"delay50_p50_ms", "delay50_p99_ms"}, (*bench).delay)

const (
	delayAsked = 50 * time.Millisecond
	delayConns = 64
)

// delay is how long requests take that are asked to take 50 ms more, as 64 clients see it that ask again as soon as they
// have their answer. The way through proxy and service is in it, and stands beside it: of as many clients that ask as
// often, but wait themselves, so that processors are as idle and as slow to wake. None may be early.
func (b *bench) delay(ctx context.Context) error {
	s, err := b.site(ctx, lab.CoreOfProxy, 1, b.Backend.Addr)
	if err != nil {
		return err
	}
	if err := b.Backend.Move(lab.CoreOfRest); err != nil {
		return err
	}
	var p50, p99, added []float64
	for range b.rounds {
		plain, err := b.closedLoop(ctx, s.addr, delayConns, 2*time.Second, delayAsked)
		if err != nil {
			return err
		}
		lease := refusing("d", lanesOf(1)[0])
		lease.Fault = &injector.Latency{Delay: delayAsked}
		release, err := s.hold(ctx, lease)
		if err != nil {
			return err
		}
		took, err := b.closedLoop(ctx, s.addr, delayConns, 2*b.Load, 0)
		st, endErr := release()
		if err != nil {
			return err
		}
		if endErr != nil || st.Struck != st.Looked {
			return fmt.Errorf("struck %d of %d requests, asked all: %w", st.Struck, st.Looked, endErr)
		}
		least := quantile(took, 0)
		b.Note("%d requests: p50 %.3f ms, p99 %.3f ms, least %.3f, most %.3f; without the fault, as often: p50 %.3f ms, p99 %.3f ms", len(took),
			quantile(took, 0.5), quantile(took, 0.99), least, quantile(took, 1), quantile(plain, 0.5), quantile(plain, 0.99))
		if least < ms(delayAsked) {
			return fmt.Errorf("a request took %.3f ms, asked %s: early", least, delayAsked)
		}
		p50, p99 = append(p50, quantile(took, 0.5)), append(p99, quantile(took, 0.99))
		added = append(added, quantile(took, 0.5)-quantile(plain, 0.5))
	}
	b.Note("added to p50: %.3f ms (median of the rounds)", quantile(added, 0.5))
	b.figure("delay50_p50_ms", p50)
	b.figure("delay50_p99_ms", p99)
	return b.stop(s)
}

// closedLoop has conns clients of the first lane ask for a while, each think after the answer before, and returns what
// each request took, in milliseconds.
func (b *bench) closedLoop(ctx context.Context, addr string, conns int, length, think time.Duration) (took []float64, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for i := range conns {
		all.Go(func() {
			time.Sleep(delayAsked * time.Duration(i) / time.Duration(conns)) // else all are due at once, and wait for one another
			mine, e := askUntil(ctx, addr, end, think)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if e != nil {
				err = e
			}
		})
	}
	all.Wait()
	return took, err
}

func askUntil(ctx context.Context, addr string, end time.Time, think time.Duration) (took []float64, err error) {
	c, err := dialLane(ctx, addr, lanesOf(1)[0])
	if err != nil {
		return nil, err
	}
	defer c.close()
	for time.Now().Before(end) && ctx.Err() == nil {
		began := time.Now()
		status, err := c.ask()
		if err != nil {
			return nil, err
		}
		if status != 200 {
			return nil, fmt.Errorf("status %d", status)
		}
		took = append(took, ms(time.Since(began)))
		time.Sleep(think)
	}
	return took, context.Cause(ctx)
}
