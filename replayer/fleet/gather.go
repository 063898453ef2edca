package fleet

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/bus"
)

// A member is a worker that has joined.
type member struct {
	join
	parts  int // it has now
	gone   bool
	offset time.Duration
	rtt    time.Duration
	skew   time.Duration
}

func (c *controller) onClock(m *bus.Message) {
	now := c.Clock.Now()
	_ = m.Answer(encode(&now)) // who does not hear it asks again
}

func (c *controller) onJoin(m *bus.Message) {
	var j join
	var a answer
	if err := decode(m.Data, &j); err != nil {
		a.Refused = err.Error()
		c.Log("a worker is refused: " + a.Refused)
	} else {
		a.Refused = c.admit(j)
	}
	_ = m.Answer(encode(&a)) // who does not hear it asks again
}

func (c *controller) admit(j join) (refused string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.members[j.Worker] != nil:
		return "" // it has not heard the first answer
	case c.closed || len(c.order) >= c.Workers:
		return "there are enough workers"
	case j.Worker == "" || j.Loops < 1 || j.Loops > 1<<16:
		return "a worker needs an ID and a capacity"
	}
	w := &member{join: j}
	c.members[j.Worker] = w
	c.order = append(c.order, w)
	c.poke()
	return ""
}

// gather calls until enough workers have joined.
func (c *controller) gather(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	told, calling := -1, true // once a tick: a call goes to all workers there are, and a thousand join
	for {
		c.mu.Lock()
		n := len(c.order)
		c.closed = n >= c.Workers
		c.mu.Unlock()
		if n != told && (calling || n >= c.Workers) {
			told = n
			c.Log(fmt.Sprintf("%d of %d workers", n, c.Workers))
		}
		if n >= c.Workers {
			return nil
		}
		if calling {
			if err := c.Bus.Publish(callSubject, encode(&call{Run: c.Run, Labels: c.Labels})); err != nil {
				return err
			}
		}
		select {
		case <-c.changed:
			calling = false
		case <-tick.C:
			calling = true
		case <-ctx.Done():
			return fmt.Errorf("fleet: %d of %d workers joined within %v; start more with redlane worker, or ask for fewer", n, c.Workers, c.Wait)
		}
	}
}

// openAll gives every worker its part, waits until all are ready, and agrees T0 with them.
func (c *controller) openAll(ctx context.Context) error {
	c.mu.Lock()
	all := c.order
	c.mu.Unlock()
	capacities := make([]int, len(all))
	for i, w := range all {
		capacities[i] = w.Loops
	}
	parts := make([]*assigned, len(all))
	for i, shards := range deal(c.Shards, capacities) {
		parts[i] = c.assign(all[i], shards, 0)
	}
	errs := make([]error, len(all))
	each(len(all), func(i int) {
		errs[i] = c.open(parts[i], time.Time{})
	})
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("fleet: worker %s: %w", all[i].Name, err)
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("fleet: interrupted before it began")
	}
	t0 := c.Clock.Now().Add(time.Second + time.Duration(len(all))*time.Millisecond)
	c.mu.Lock()
	c.t0 = t0
	c.mu.Unlock()
	each(len(all), func(i int) {
		_, errs[i] = c.tell(all[i].Worker, &order{Start: &start{T0: t0}}, 2*time.Second)
	})
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("fleet: worker %s was not told when to begin: %w", all[i].Name, err)
		}
	}
	c.mu.Lock()
	for _, p := range parts { // leases count from here: nothing is sent before
		p.seen, p.excused = t0, 0
	}
	c.mu.Unlock()
	if late := c.Clock.Now().Sub(t0); late > 0 {
		return fmt.Errorf("fleet: workers were told %v too late when to begin; is the bus overloaded?", late)
	}
	return nil
}
