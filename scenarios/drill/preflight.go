package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// A Refusal is why a drill was not begun. Nothing was armed.
type Refusal struct {
	What string // which look it did not pass
	Why  string
}

func (r *Refusal) Error() string { return "refused: " + r.What + ": " + r.Why }

// looks are what must be right before anything is sent, in their order.
var looks = []struct {
	what string
	look func(r *run, ctx context.Context) error
}{
	{"no freeze window", (*run).lookFreeze},
	{"the proxies answer, and agree", (*run).lookProxies},
	{"no other drill is on the edge", (*run).lookEdge},
	{"the recording can be sent", (*run).lookTape},
	{"both lanes are there", (*run).lookLanes},
}

// preflight looks at everything, and ends at the first thing that is not right.
func (r *run) preflight(ctx context.Context) error {
	for _, l := range looks {
		if err := r.passed(l.what, l.look(r, ctx)); err != nil {
			return err
		}
	}
	return nil
}

// passed notes a look.
func (r *run) passed(what string, err error) error {
	look := Look{What: what, OK: err == nil}
	if err != nil {
		look.Why = err.Error()
	}
	if !slices.Contains(r.record.Preflight, look) { // the guard is armed twice
		r.record.Preflight = append(r.record.Preflight, look)
	}
	if err != nil {
		r.audit("refused: %s: %v", what, err)
		return &Refusal{what, err.Error()}
	}
	return nil
}

func (r *run) lookFreeze(context.Context) error {
	now := r.clock.Now()
	for _, f := range r.drill.Freeze {
		if !now.Before(f.From) && now.Before(f.Until) {
			return fmt.Errorf("%s, until %s", f.Why, f.Until.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// lookProxies: proxies that work by different configurations would be different experiments.
func (r *run) lookProxies(ctx context.Context) error {
	numbers := make([]string, len(r.plane.proxies))
	err := r.plane.each(func(one *proxy) (err error) {
		numbers[r.plane.place(one)], err = r.plane.generation(ctx, one)
		return err
	})
	if err != nil {
		return err
	}
	for i, n := range numbers {
		if n != numbers[0] {
			return fmt.Errorf("%s has configuration %s, %s has %s: reload them all first", r.plane.proxies[0].base, numbers[0], r.plane.proxies[i].base, n)
		}
	}
	r.generations = numbers
	return nil
}

// lookEdge: two faults on one edge, or in one of our lanes, and nobody knows which did what.
func (r *run) lookEdge(ctx context.Context) error {
	live, err := r.plane.lives(ctx)
	if err != nil {
		return err
	}
	for i, list := range live {
		for _, s := range list {
			switch lane := s.Lease.Lane; {
			case lane == r.drill.Lane || lane == r.drill.Control:
				return fmt.Errorf("lease %s is live in lane %s at %s; wait until it is over, or redlane halt", s.ID, lane, r.plane.proxies[i].base)
			case s.Lease.Edge == r.drill.Edge:
				return fmt.Errorf("lease %s is live on %s, in lane %s, at %s", s.ID, s.Lease.Edge, lane, r.plane.proxies[i].base)
			}
		}
	}
	return nil
}

func (r *run) lookTape(ctx context.Context) error {
	src, err := opener(r.drill.Service)(ctx, r.drill.Tape)
	if err != nil {
		return err
	}
	defer src.Close()
	var x traffic.Exchange
	if err := src.Next(ctx, &x); errors.Is(err, io.EOF) {
		return fmt.Errorf("it holds nothing that users asked of %s: there would be no traffic in the lane", r.drill.Service)
	} else if err != nil {
		return err
	}
	return nil
}

// lookLanes asks the target for a ticket for either lane.
func (r *run) lookLanes(ctx context.Context) error {
	for _, lane := range []traffic.Color{r.drill.Lane, r.drill.Control} {
		cfg := r.replay(lane)
		if _, _, err := replayer.Confirm(ctx, cfg); err != nil {
			return err
		}
	}
	return nil
}

// trafficPatience is how long traffic may take to show after the warmup.
const trafficPatience = 5 * time.Second

// lookTraffic is the last look, with traffic in both lanes: a fault that nothing meets shows nothing, and a guard
// that sees nothing would not trip.
func (r *run) lookTraffic(ctx context.Context) error {
	// A replay hands over what has ended once a second.
	for until := r.clock.Now().Add(trafficPatience); r.faulted.seen() == 0 || r.control.seen() == 0; {
		if err := r.feedFailed(); err != nil {
			return err
		}
		if r.clock.Now().After(until) {
			return fmt.Errorf("in lane %s %d requests have ended, in lane %s %d, %s after the first was due",
				r.drill.Lane, r.faulted.seen(), r.drill.Control, r.control.seen(), r.since().Round(time.Millisecond))
		}
		if err := r.sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	s, err := r.plane.scrape(ctx, r.drill.Service)
	if err != nil {
		return err
	}
	for _, lane := range []traffic.Color{r.drill.Lane, r.drill.Control} {
		if t := s.lanes[string(lane)]; t == nil || t.count == 0 {
			return fmt.Errorf("the proxies have seen nothing of lane %s at service %s: is every proxy named?", lane, r.drill.Service)
		}
	}
	return nil
}
