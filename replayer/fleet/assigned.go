package fleet

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redlane/redlane/internal/bus"
)

// An assigned is a part as the controller knows it.
//
//	opening ─► running ─► done       its last result is here
//	   │          └─────► lost       its lease was ended: others go on from its last mark
//	   └────────────────► lost
type assigned struct {
	id     int
	worker *member
	shards []int
	from   uint64

	state   state
	rev     uint64 // of its lease
	seen    time.Time
	excused time.Duration // of the time since: nobody could be heard
	lease   lease
	ending  bool // its lease is about to be ended
	handed  bool // others go on from lease.Mark
	results int
	taken   uint64 // exchanges in its results
	unsent  uint64 // of them, for a lost worker: what it was to send and did not
	last    time.Duration

	takeover *Takeover // of it, when it is lost
	replaces *Takeover // until it does
}

type state uint8

const (
	opening state = iota
	running
	done
	lost
)

// assign makes a part of shards from a place on.
func (c *controller) assign(w *member, shards []int, from uint64) *assigned {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.assignLocked(w, shards, from)
}

func (c *controller) assignLocked(w *member, shards []int, from uint64) *assigned {
	p := &assigned{id: len(c.parts), worker: w, shards: shards, from: from, seen: c.Clock.Now()}
	p.lease.Mark.Place = from
	c.parts[p.id] = p
	w.parts++
	return p
}

func (p *assigned) key() string { return "part." + strconv.Itoa(p.id) }

// open tells the worker, and waits until it is ready.
func (c *controller) open(p *assigned, t0 time.Time) error {
	o := &open{Part: p.id, Spec: c.Spec, Shards: p.shards, Of: c.Shards, From: p.from, T0: t0, Results: resultsEvery(c.Workers)}
	a, err := c.tell(p.worker.Worker, &order{Open: o}, openTime+5*time.Second)
	if err == nil && a.Ready == nil {
		err = errors.New("it did not say that it is ready")
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.worker.offset, p.worker.rtt = a.Ready.Offset, a.Ready.RTT
	if p.state == opening {
		p.state, p.seen, p.excused = running, c.Clock.Now(), 0
	}
	return nil
}

// onLease takes in what a worker has written down.
func (c *controller) onLease(e bus.Entry) {
	var l lease
	if e.Gone || decode(e.Value, &l) != nil {
		return
	}
	var id int
	if _, err := fmt.Sscanf(e.Key, "part.%d", &id); err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.parts[id]
	if p == nil || e.Revision <= p.rev || p.state == lost {
		return
	}
	if l.Lost { // we have written that, and not heard whether it got through
		p.rev = e.Revision
		if p.state == running {
			c.loseLocked(p)
		}
		return
	}
	p.rev, p.seen, p.excused = e.Revision, c.Clock.Now(), 0
	if p.state == done {
		return // its last result says more, and came another way
	}
	if l.Counts.Sent < p.lease.Counts.Sent { // a result that was sent later has come before
		l.Counts = p.lease.Counts
	}
	p.lease = l
	p.worker.skew = l.Skew
	if t := p.replaces; t != nil && !t.resumed && (l.Mark.Place > p.from || l.Mark.End) {
		t.waiting--
		if t.waiting == 0 {
			t.resumed = true
			t.Took = p.seen.Sub(t.since)
			c.Log(t.String())
		}
		p.replaces = nil
	}
	if l.Closed && !p.handed && p.state != lost {
		c.Log(fmt.Sprintf("worker %s hands back %d shards", p.worker.Name, len(p.shards)))
		c.goOnLocked(p)
	}
}
