package fleet

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redlane/redlane/replayer"
)

const lookEvery = 50 * time.Millisecond

// watch looks after the run until all its parts have ended, one way or the other.
func (c *controller) watch(outer context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	interrupted := outer.Done()
	second, up, looked := 0, c.Clock.Now(), c.Clock.Now()
	var before replayer.Progress
	for {
		select {
		case <-interrupted:
			interrupted = nil
			c.mu.Lock()
			c.stopped = true
			c.mu.Unlock()
			c.stop("interrupted", false)
		case <-c.changed:
		case <-tick.C:
		}
		now := c.Clock.Now()
		blind := max(0, now.Sub(looked)-4*lookEvery)
		looked = now
		if c.Bus.Up() {
			up = now
		} else if away := now.Sub(up); away > leaseTime {
			c.stop("the bus was lost, and with it the workers", true)
			return
		}
		c.expire(blind)
		if c.Progress != nil && now.Sub(c.t0) >= time.Duration(second+1)*time.Second {
			p := c.progress(now.Sub(c.t0), second-1)
			if took := (p.Elapsed - before.Elapsed).Seconds(); took > 0 {
				p.Asked = float64(p.Released-before.Released) / took
				p.Achieved = float64(p.Sent-before.Sent) / took
			}
			before = p
			c.Progress(p)
			second = int(now.Sub(c.t0) / time.Second)
		}
		if c.allOver() {
			return
		}
	}
}

func (c *controller) allOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		if p.state == opening && c.abort == "" || p.state == running {
			return false
		}
	}
	return true
}

// progress adds up what all have written down, and the times of one second whose results are mostly here.
func (c *controller) progress(elapsed time.Duration, second int) (p replayer.Progress) {
	c.merging.Lock()
	p.P99, p.LagP99 = c.sum.second(second)
	c.merging.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	p.Elapsed = elapsed
	for _, a := range c.parts {
		n := a.lease.Counts
		p.Released += n.Released
		p.Sent += n.Sent
		p.Answered += n.Answered
		p.Failed += n.Failed
	}
	p.Waiting = max(p.Released, p.Answered) - p.Answered
	return p
}

// fewest are the n members with the least to do, in the order in which they came.
func fewest(all []*member, n int) []*member {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b *member) int { return cmp.Compare(a.parts, b.parts) })
	return all[:min(n, len(all))]
}

func ones(n int) []int { return slices.Repeat([]int{1}, n) }
