package main

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = parts.Add("share", []string{"share_worst_error_pct"}, (*bench).share)

// share is how far from 10 % the share of struck requests is: of 100,000 on 4 connections, and of each connection by
// itself, whichever is worse, in percentage points. The clients' count and the lease's are the same.
func (b *bench) share(ctx context.Context) error {
	const conns, each, asked = 4, 25_000, 0.1
	s, err := b.site(ctx, lab.CoreOfProxy, 1, b.Backend.Addr)
	if err != nil {
		return err
	}
	if err := b.Backend.Move(lab.CoreOfRest); err != nil {
		return err
	}
	var worst []float64
	for round := range b.rounds {
		lease := refusing("s", lanesOf(1)[0])
		lease.Share, lease.Seed = asked, uint64(round)
		release, err := s.hold(ctx, lease)
		if err != nil {
			return err
		}
		var all sync.WaitGroup
		struck, errs := make([]int, conns), make([]error, conns)
		for i := range conns {
			all.Go(func() { struck[i], errs[i] = strikes(ctx, s.addr, each) })
		}
		all.Wait()
		st, err := release()
		if err != nil {
			return err
		}
		sum, most := 0, 0.0
		for i, n := range struck {
			if errs[i] != nil {
				return errs[i]
			}
			sum += n
			most = max(most, math.Abs(float64(n)/each-asked))
		}
		if uint64(sum) != st.Struck || st.Looked != conns*each {
			return fmt.Errorf("clients were struck %d times of %d, the lease says %d of %d", sum, conns*each, st.Struck, st.Looked)
		}
		most = max(most, math.Abs(float64(sum)/(conns*each)-asked))
		b.Note("seed %d: %.3f%% of %d, connections %v of %d", round, 100*float64(sum)/(conns*each), conns*each, struck, each)
		worst = append(worst, 100*most)
	}
	b.single("share_worst_error_pct", quantile(worst, 1), "worst of %d rounds of %d requests on %d connections", b.rounds, conns*each, conns)
	return b.stop(s)
}

// strikes is how many of n requests on one connection were answered by the fault.
func strikes(ctx context.Context, addr string, n int) (struck int, err error) {
	c, err := dialLane(ctx, addr, lanesOf(1)[0])
	if err != nil {
		return 0, err
	}
	defer c.close()
	for range n {
		status, err := c.ask()
		if err != nil {
			return 0, err
		}
		switch status {
		case 503:
			struck++
		case 200:
		default:
			return 0, fmt.Errorf("status %d", status)
		}
	}
	return struck, context.Cause(ctx)
}
