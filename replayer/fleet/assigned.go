package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
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
	heir     *assigned // it goes on for this one
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
	if p == nil || e.Revision <= p.rev || l.Lost || p.state == lost {
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

// onResult takes in what a part has found, once.
func (c *controller) onResult(m *bus.Message) {
	var r result
	var a answer
	if err := decode(m.Data, &r); err != nil {
		a.Refused = err.Error()
	} else if r.Result == nil {
		a.Refused = "there is no result in it"
	} else {
		a.Refused = c.take(&r)
	}
	_ = m.Answer(encode(&a)) // who does not hear it sends the result again
}

func (c *controller) take(r *result) (refused string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.parts[r.Part]
	switch {
	case p == nil || p.worker.Worker != r.Worker:
		return "the part is not this worker's"
	case r.Number <= p.results:
		return "" // it has not heard the first answer
	case r.Number != p.results+1:
		return fmt.Sprintf("result %d comes after %d", r.Number, p.results)
	}
	if err := r.Result.Ledger.Balance(); err != nil {
		c.invalid = append(c.invalid, fmt.Sprintf("worker %s: %v", p.worker.Name, err))
	}
	p.results = r.Number
	if p.state == lost || r.GaveUp {
		p.unsent += lostWith(&r.Result.Ledger)
	}
	p.taken += r.Result.Ledger.Accepted
	p.lease.Counts = r.Counts
	p.last = max(p.last, r.Counts.Last)
	c.sum.add(r.Result)
	switch {
	case !r.Last:
		return ""
	case p.state == lost: // it was cut off, and is back: what it knows makes the hole smaller
		return ""
	case r.GaveUp: // the same, and back before it was missed
		if !p.handed {
			p.lease.Mark = r.Mark // not further, though it may have written more down before it was cut off
			p.lease.Mark.Place = max(p.lease.Mark.Place, p.from)
		}
		c.loseLocked(p)
		return ""
	}
	p.state = done
	p.worker.parts--
	if r.Failed != "" {
		c.invalid = append(c.invalid, fmt.Sprintf("worker %s: %s", p.worker.Name, r.Failed))
		if c.abort == "" {
			c.abort = fmt.Sprintf("worker %s: %s", p.worker.Name, r.Failed)
		}
	}
	if r.Mark.Place >= p.lease.Mark.Place {
		p.lease.Mark = r.Mark
	}
	p.lease.Mark.Place = max(p.lease.Mark.Place, p.from)
	if !r.Mark.End && !p.handed {
		c.goOnLocked(p)
	}
	c.poke()
	return ""
}

// lostWith renames what a lost worker has not sent: the run was not interrupted, that worker was.
func lostWith(l *traffic.Ledger) (n uint64) {
	n = l.Dropped[replayer.DropInterrupted]
	delete(l.Dropped, replayer.DropInterrupted)
	l.Drop(dropLost, n)
	return n
}

// expire ends the leases that have not been renewed in time. From then on their workers cannot send anything
// new, and others go on.
// blind is for how long the controller itself could not look: in that time nobody could be heard.
func (c *controller) expire(blind time.Duration) {
	now := c.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		p.excused += blind
		if p.state == running && !p.ending && now.Sub(p.seen)-p.excused > leaseTime {
			p.ending = true
			c.wg.Go(func() { c.end(p) })
		}
	}
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
	if err != nil || p.state != running || p.rev != rev {
		return // renewed after all, or the bus is away: it is looked at again
	}
	c.loseLocked(p)
}

// loseLocked notes that p is lost, at its last mark, and lets others go on.
func (c *controller) loseLocked(p *assigned) {
	p.state = lost
	p.worker.gone = true
	p.worker.parts--
	t := &Takeover{Worker: p.worker.Name, Shards: len(p.shards), Silent: c.Clock.Now().Sub(p.seen), since: p.seen}
	c.taken = append(c.taken, t)
	p.takeover = t
	c.Log(fmt.Sprintf("worker %s is lost: not heard of for %v; %d shards go to others", t.Worker, t.Silent.Round(time.Millisecond), t.Shards))
	dead := 0
	for _, w := range c.order {
		if w.gone {
			dead++
		}
	}
	if 2*dead > len(c.order) && c.abort == "" { // what is left would not hold either, and every takeover costs
		reason := fmt.Sprintf("%d of %d workers are lost; can the bus and this machine keep up?", dead, len(c.order))
		c.abort = reason
		c.wg.Go(func() { c.stop(reason, true) })
	}
	if !p.handed {
		c.goOnLocked(p)
		for _, q := range c.parts {
			if q.state == opening && q.from == p.lease.Mark.Place && q.replaces == nil && q.heir == p {
				q.replaces = t
				t.waiting++
			}
		}
	}
	c.poke()
}

// heirs is how many workers share what another leaves behind. Each reads the recording up to there again.
const heirs = 4

// goOnLocked gives the shards of p to others, from its mark on.
func (c *controller) goOnLocked(p *assigned) {
	p.handed = true
	if p.lease.Mark.End || c.abort != "" {
		return
	}
	if c.t0.IsZero() {
		reason := fmt.Sprintf("worker %s left before it began", p.worker.Name)
		c.wg.Go(func() { c.stop(reason, true) })
		return
	}
	var able []*member
	for _, w := range c.order {
		if !w.gone && w != p.worker {
			able = append(able, w)
		}
	}
	if len(able) == 0 {
		reason := fmt.Sprintf("no worker is left for %d shards of %s", len(p.shards), p.worker.Name)
		c.wg.Go(func() { c.stop(reason, true) })
		return
	}
	able = fewest(able, min(heirs, len(p.shards)))
	for i, stripe := range deal(len(p.shards), ones(len(able))) {
		var shards []int
		for _, at := range stripe {
			shards = append(shards, p.shards[at])
		}
		q := c.assignLocked(able[i], shards, p.lease.Mark.Place)
		q.heir = p
		c.wg.Go(func() {
			if err := c.open(q, c.t0); err != nil {
				c.notOpened(q, err)
			}
		})
	}
}

// notOpened ends a part that its worker did not take.
func (c *controller) notOpened(q *assigned, err error) {
	c.mu.Lock()
	q.state, q.seen, q.excused = running, c.Clock.Now().Add(-2*leaseTime), 0 // and it expires like any other
	c.mu.Unlock()
	c.Log(fmt.Sprintf("worker %s does not take over %d shards: %v", q.worker.Name, len(q.shards), err))
}
