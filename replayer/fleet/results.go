package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/replayer"
)

// report sends what the part has found, step by step, until it has ended and that has been taken as well.
// One is on its way at a time: while it is, the next one grows.
func (p *part) report() {
	tick := time.NewTicker(p.o.Results)
	defer tick.Stop()
	number := 0
	for {
		select {
		case <-tick.C:
			r := p.part.Take()
			if r.Ledger.Accepted == 0 {
				continue
			}
			number++
			begin := p.s.Clock.Now()
			if !p.deliver(&result{Number: number}, r) {
				p.cancel(errors.New("results could not be delivered"))
				<-p.ended
				return
			}
			tick.Reset(pause(p.o.Results, p.s.Clock.Now().Sub(begin)))
		case <-p.ended:
			p.finish(number + 1)
			return
		}
	}
}

// pause is how long after a result the next one goes, when that one took so long to be taken. A controller that is late
// gets fewer of them, each hardly larger, so that what it hears of leases does not suffer.
func pause(every, took time.Duration) time.Duration { return min(max(every, 4*took), 5*every) }

// finish sends the last result.
func (p *part) finish(number int) {
	found := p.result
	if found == nil {
		found = new(replayer.Result)
	}
	last := &result{Number: number, Last: true, Mark: markOf(p.part.Allowed())}
	switch cause := context.Cause(p.ctx); {
	case cause == nil && p.err != nil: // it was not told to end
		last.Failed = p.err.Error()
	case errors.As(cause, new(*gaveUp)):
		last.GaveUp = true
	}
	p.deliver(last, found)
}

// deliver repeats r, with what was found, until the controller has taken it. A controller that is heard of has
// others' results to take first: it is waited for. deliver gives up when the controller is silent, too, or does not want r.
func (p *part) deliver(r *result, found *replayer.Result) (taken bool) {
	var err error
	if r.Found, err = found.MarshalBinary(); err != nil {
		p.s.Log(fmt.Sprintf("run %s: part %d: %v", p.s.run, p.o.Part, err))
		return false
	}
	r.Worker, r.Part, r.Counts = p.s.ID, p.o.Part, p.part.Counts()
	data := encode(r)
	ctx := p.s.ctx
	begin := p.s.Clock.Now()
	for wait := firstAsk; ; wait = min(2*wait, stopTime) { // asked too early, it costs them more than us
		var a answer
		err := p.s.ask(ctx, "result", wait, data, &a)
		switch {
		case err == nil && a.Refused == "":
			return true
		case err == nil:
			p.s.Log(fmt.Sprintf("run %s: part %d: the controller does not take results: %s", p.s.run, p.o.Part, a.Refused))
			return false
		case p.s.Clock.Now().Sub(begin) > stopTime && p.s.quiet() > leaseTime:
			return false
		}
		if p.s.Clock.SleepUntil(ctx, p.s.Clock.Now().Add(renewEvery)) != nil {
			return false
		}
	}
}
