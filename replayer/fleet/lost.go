package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/bus"
)

// expire ends the leases that have not been renewed in time. From then on their workers cannot send anything
// new, and others go on. blind is for how long the controller itself could not look: in that time nobody could be heard.
//
// Workers die one by one, or as many as a machine or a rack has. When more than that are silent at once it is not
// they: the bus, the controller or the network is late, and takeovers would only add to what it has to do. So then nobody
// is given up before holdTime, in which a hiccup is over and workers go on by themselves; and when most of them are
// still silent the run ends, there and then.
func (c *controller) expire(blind time.Duration) {
	now := c.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := leaseTime
	if c.abort != "" {
		limit = stopTime // nobody is going on for them, and last results are still on their way
	}
	silent := make(map[*member]bool)
	var overdue []*assigned
	longest := time.Duration(0)
	for _, p := range c.parts {
		p.excused += blind
		if since := now.Sub(p.seen) - p.excused; p.state == running && since > limit {
			overdue = append(overdue, p)
			silent[p.worker] = true
			longest = max(longest, since)
		}
	}
	if len(silent) <= c.plausible() {
		c.held = false
	} else if c.abort == "" {
		if !c.held {
			c.held = true
			c.Log(fmt.Sprintf("%s; nobody takes over for %v", c.silence(len(silent), leaseTime), holdTime-leaseTime))
		}
		if longest > holdTime && 2*len(silent) > len(c.order) {
			c.stopLocked(c.silence(len(silent), holdTime))
			return
		}
		limit = holdTime
	}
	for _, p := range overdue {
		if !p.ending && now.Sub(p.seen)-p.excused > limit {
			p.ending = true
			c.wg.Go(func() { c.end(p) })
		}
	}
}

// plausible is how many workers may be silent at once and be thought dead.
func (c *controller) plausible() int { return max(heirs, len(c.order)/8) }

func (c *controller) silence(n int, limit time.Duration) string {
	return fmt.Sprintf("%d of %d workers have not been heard of for %v, all at once; can the bus, the network and the controller's machine keep up?",
		n, len(c.order), limit)
}

// end takes a lease away, unless it is renewed first.
func (c *controller) end(p *assigned) {
	c.mu.Lock()
	rev, l := p.rev, p.lease
	c.mu.Unlock()
	l.Lost = true
	ctx, cancel := context.WithTimeout(c.ctx, askTime)
	defer cancel()
	var err error
	if rev == 0 {
		_, err = c.leases.Create(ctx, p.key(), encode(&l))
	} else {
		_, err = c.leases.Update(ctx, p.key(), encode(&l), rev)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.ending = false
	if errors.Is(err, bus.ErrConflict) && p.state == running { // renewed after all, and we are late to hear it
		p.seen, p.excused = c.Clock.Now(), 0
	}
	if err != nil || p.state != running || p.rev != rev {
		return // or the bus is away: it is looked at again
	}
	c.loseLocked(p)
}

// loseLocked notes that p is lost, at its last mark, and lets others go on.
func (c *controller) loseLocked(p *assigned) {
	p.state = lost
	p.worker.gone = true
	p.worker.parts--
	defer c.poke()
	if c.abort != "" {
		return // nobody goes on, with anything
	}
	t := &Takeover{Worker: p.worker.Name, Shards: len(p.shards), Silent: c.Clock.Now().Sub(p.seen), since: p.seen}
	c.taken = append(c.taken, t)
	p.takeover = t
	c.Log(fmt.Sprintf("worker %s is lost: not heard of for %v; %d shards go to others", t.Worker, t.Silent.Round(time.Millisecond), t.Shards))
	if dead := c.goneLocked(); 2*dead > len(c.order) { // what is left would not hold either, and every takeover costs
		c.stopLocked(fmt.Sprintf("%d of %d workers are lost; can the bus and this machine keep up?", dead, len(c.order)))
	}
	if !p.handed {
		for _, q := range c.goOnLocked(p) {
			q.replaces = t
			t.waiting++
		}
	}
}

func (c *controller) goneLocked() (n int) {
	for _, w := range c.order {
		if w.gone {
			n++
		}
	}
	return n
}

// stopLocked is stop with an invalid end, for those who hold the lock.
func (c *controller) stopLocked(reason string) {
	if c.abort == "" {
		c.abort = reason // from now on nobody goes on
		c.wg.Go(func() { c.stop(reason, true) })
	}
}

// heirs is how many workers share what another leaves behind. Each reads the recording up to there again.
const heirs = 4

// goOnLocked gives the shards of p to others, from its mark on.
func (c *controller) goOnLocked(p *assigned) (parts []*assigned) {
	p.handed = true
	if p.lease.Mark.End || c.abort != "" {
		return nil
	}
	if c.t0.IsZero() {
		c.stopLocked(fmt.Sprintf("worker %s left before it began", p.worker.Name))
		return nil
	}
	var able []*member
	for _, w := range c.order {
		if !w.gone && w != p.worker {
			able = append(able, w)
		}
	}
	if len(able) == 0 {
		c.stopLocked(fmt.Sprintf("no worker is left for %d shards of %s", len(p.shards), p.worker.Name))
		return nil
	}
	n := heirs
	if c.goneLocked() > c.plausible() {
		n = 1 // so many parts more, with a lease each, would be too much for what is left
	}
	able = fewest(able, min(n, len(p.shards)))
	for i, stripe := range deal(len(p.shards), ones(len(able))) {
		var shards []int
		for _, at := range stripe {
			shards = append(shards, p.shards[at])
		}
		q := c.assignLocked(able[i], shards, p.lease.Mark.Place)
		parts = append(parts, q)
		c.wg.Go(func() {
			if err := c.open(q, c.t0); err != nil {
				c.notOpened(q, err)
			}
		})
	}
	return parts
}

// notOpened ends a part that its worker did not take.
func (c *controller) notOpened(q *assigned, err error) {
	c.mu.Lock()
	q.state, q.seen, q.excused = running, c.Clock.Now().Add(-2*leaseTime), 0 // and it expires like any other
	over := c.abort != ""
	c.mu.Unlock()
	if !over {
		c.Log(fmt.Sprintf("worker %s does not take over %d shards: %v", q.worker.Name, len(q.shards), err))
	}
}
