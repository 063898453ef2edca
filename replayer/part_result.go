package replayer

import (
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// Counts are how far a Part has come, from its start on.
type Counts struct {
	Released uint64        // requests that have been due
	Sent     uint64        // of them, given to a connection
	Answered uint64        // of them
	Failed   uint64        // no answer, or 500 and above
	Due      time.Duration // of the last one released
	Last     time.Duration // when the last one was sent, of those in a Result
}

// Counts may be called at any time, also before the run and after it.
func (p *Part) Counts() (c Counts) {
	p.mu.Lock()
	r := p.mu.run
	c.Last = p.mu.lastSent
	p.mu.Unlock()
	if r == nil {
		return c
	}
	c.Released, c.Due = r.ahead.released()
	for _, l := range r.clients {
		live := l.live
		c.Sent += live.sent.Load()
		c.Answered += live.answered.Load()
		c.Failed += live.failed.Load()
	}
	return c
}

// Take is the result of everything that has ended since the last Take, and of what is allowed and cannot be
// sent. The Results of a Part, with the one that Run returns, add up to what its sessions did: each
// balances, and nothing is in two. Without a run there is nothing to take.
func (p *Part) Take() *Result {
	p.mu.Lock()
	r := p.mu.run
	p.mu.Unlock()
	if r == nil {
		return new(Result)
	}
	// A loop may still run this when Each has stopped waiting for it: what it brings is in the next Result.
	r.driver.Each(func(_ engine.Loop, h engine.Handler) {
		c := h.(*client)
		taken := c.book
		c.book = taken.next()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mu.books = append(p.mu.books, taken)
	})
	res := &Result{
		Version: ResultVersion, RunID: r.cfg.RunID, To: r.cfg.To, Lane: r.cfg.Lane, Rate: r.cfg.Asked(), Seed: r.cfg.Seed, LagLimit: r.cfg.LagLimit,
		Target: r.guard.target(),
	}
	res.Target.Tickets = 0 // the Result that Run returns has them all
	newKeeper(r.routes, p.settle(res)).close(res)
	res.rates()
	res.Ledger.Accepted = res.Ledger.Passed + res.Ledger.Lost()
	return res
}

// sentUntil notes when the last request of all was sent.
func (p *Part) sentUntil(last time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.lastSent = max(p.mu.lastSent, last)
}

// allowedOf counts the items that were allowed, and so are the part's own business.
func (p *Part) allowedOf(left []*item) (n uint64) {
	place := p.Allowed().Place
	for _, it := range left {
		if it.place < place {
			n++
		}
	}
	return n
}

// settle enters in res what is allowed and cannot be sent, and hands over the books taken so far.
func (p *Part) settle(res *Result) (books []*book) {
	p.mu.Lock()
	defer p.mu.Unlock()
	res.Ledger.Stage = ledgerStage
	for reason, n := range p.mu.allowed.unsendable {
		if fresh := n - p.mu.counted[reason]; fresh > 0 {
			res.Ledger.Drop(reason, fresh)
			if p.mu.counted == nil {
				p.mu.counted = make(map[string]uint64)
			}
			p.mu.counted[reason] = n
		}
	}
	books, p.mu.books = p.mu.books, nil
	for _, b := range books {
		p.mu.lastSent = max(p.mu.lastSent, b.lastSent)
	}
	return books
}
