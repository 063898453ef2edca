package replayer

import (
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// paceEvent is posted to a loop that has something to look at.
func paceEvent(_ engine.Loop, h engine.Handler) {
	c := h.(*client)
	c.starving = false
	c.OnAlarm()
}

var _ engine.Alarmed = (*client)(nil)

// OnAlarm releases what is due.
func (c *client) OnAlarm() {
	c.at = 0
	switch {
	case c.paced:
	case c.closedLoop:
		c.refill()
	default:
		c.pace()
	}
}

// pace releases what is due now, and sets the alarm to what is due next.
func (c *client) pace() {
	batch, opens, again, ended := c.pacer.look(c.now())
	c.take(batch)
	for _, id := range opens {
		if c.stopped || c.open >= c.maxIdle {
			break // it will connect when it must
		}
		if s := c.session(id); s.state == closed {
			c.dial(s)
		}
	}
	switch {
	case ended:
		c.paced = true
		c.through()
	case again != never:
		c.loop.Alarm(max(0, again-c.since()))
	}
}

// A closed loop has active requests on their way at any time. It is woken for a quarter of them, or for what has come
// in 30 µs: twelve interleaved runs took a tenth less CPU than with a wake-up for each. An answer may be seen that much
// late; where few are on their way none is.
const (
	gatherShare = 4
	gatherFor   = 30 * time.Microsecond
)

// refill releases more of a closed loop.
func (c *client) refill() {
	if c.starving {
		return
	}
	batch, ended := c.pacer.take()
	c.take(batch)
	if c.gatherer != nil {
		c.gatherer.Gather(c.active/gatherShare, gatherFor)
	}
	switch {
	case ended:
		c.paced = true
		c.through()
	case len(batch) == 0:
		c.starving = true
	default:
		c.hunger()
	}
}

// more has a closed loop refilled as soon as the present event is over.
func (c *client) more() {
	if !c.paced && !c.starving {
		c.loop.Alarm(0)
	}
}

// take takes over items that are due.
func (c *client) take(batch []*item) {
	if len(batch) == 0 {
		return
	}
	c.began(len(batch))
	c.hands += len(batch)
	for _, it := range batch {
		c.release(it)
	}
}

// halt releases nothing more.
func (c *client) halt() {
	c.paced = true
	c.loop.Alarm(-1)
}
