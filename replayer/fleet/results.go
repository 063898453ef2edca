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
			if !p.deliver(&result{Number: number, Result: r}) {
				p.cancel(errors.New("results could not be delivered"))
				<-p.ended
				return
			}
		case <-p.ended:
			p.finish(number + 1)
			return
		}
	}
}

// finish sends the last result.
func (p *part) finish(number int) {
	last := &result{Number: number, Result: p.result, Last: true, Mark: markOf(p.part.Allowed())}
	if p.result == nil {
		last.Result = new(replayer.Result)
	}
	switch cause := context.Cause(p.ctx); {
	case cause == nil && p.err != nil: // it was not told to end
		last.Failed = p.err.Error()
	case errors.As(cause, new(*gaveUp)):
		last.GaveUp = true
	}
	p.deliver(last)
}

// deliver repeats r until the controller has taken it. It gives up when that takes too long, or the controller
// does not want it.
func (p *part) deliver(r *result) (taken bool) {
	r.Worker, r.Part = p.s.ID, p.o.Part
	r.Counts = p.part.Counts()
	ctx, cancel := context.WithTimeout(p.s.ctx, stopTime)
	defer cancel()
	for {
		var a answer
		err := p.s.ask(ctx, "result", 2*time.Second, r, &a)
		switch {
		case err == nil && a.Refused == "":
			return true
		case err == nil:
			p.s.Log(fmt.Sprintf("run %s: part %d: the controller does not take results: %s", p.s.run, p.o.Part, a.Refused))
			return false
		case ctx.Err() != nil:
			return false
		}
		if p.s.Clock.SleepUntil(ctx, p.s.Clock.Now().Add(renewEvery)) != nil {
			return false
		}
	}
}
