package fleet

import (
	"fmt"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// onResult takes in what a part has found, once. Results have a connection and a goroutine of their own: leases,
// orders and clocks do not wait for them.
func (c *controller) onResult(m *bus.Message) {
	var r result
	var a answer
	if err := decode(m.Data, &r); err != nil {
		a.Refused = err.Error()
	} else {
		a.Refused = c.take(&r)
	}
	_ = m.Answer(encode(&a)) // who does not hear it sends the result again
}

func (c *controller) take(r *result) (refused string) {
	c.merging.Lock() // and not mu: merging takes a while
	defer c.merging.Unlock()
	if wanted, refused := c.wanted(r); !wanted {
		return refused
	}
	found, err := r.found()
	if err != nil {
		return err.Error()
	}
	c.note(r, &found.Ledger)
	c.sum.add(found)
	return ""
}

// wanted reports whether r is the next result of its part. One that has been taken is no longer, and is not refused:
// its worker has not heard the first answer.
func (c *controller) wanted(r *result) (wanted bool, refused string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.parts[r.Part]
	switch {
	case p == nil || p.worker.Worker != r.Worker:
		return false, "the part is not this worker's"
	case r.Number > p.results+1:
		return false, fmt.Sprintf("result %d comes after %d", r.Number, p.results)
	}
	return r.Number == p.results+1, ""
}

// note enters in the part what came of it.
func (c *controller) note(r *result, books *traffic.Ledger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.parts[r.Part]
	if err := books.Balance(); err != nil {
		c.invalid = append(c.invalid, fmt.Sprintf("worker %s: %v", p.worker.Name, err))
	}
	p.results = r.Number
	if p.state == lost || r.GaveUp {
		p.unsent += lostWith(books)
	}
	p.taken += books.Accepted
	p.lease.Counts = r.Counts
	p.last = max(p.last, r.Counts.Last)
	switch {
	case !r.Last:
		return
	case p.state == lost: // it was cut off, and is back: what it knows makes the hole smaller
		return
	case r.GaveUp: // the same, and back before it was missed
		if !p.handed {
			p.lease.Mark = r.Mark // not further, though it may have written more down before it was cut off
			p.lease.Mark.Place = max(p.lease.Mark.Place, p.from)
		}
		c.loseLocked(p)
		return
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
}

// lostWith renames what a lost worker has not sent: the run was not interrupted, that worker was.
func lostWith(l *traffic.Ledger) (n uint64) {
	n = l.Dropped[replayer.DropInterrupted]
	delete(l.Dropped, replayer.DropInterrupted)
	l.Drop(dropLost, n)
	return n
}
