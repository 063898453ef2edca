package control

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/guard"
)

// A Brake is what a brake test found.
type Brake struct {
	OK          bool    `json:"ok"`
	TimeToAbort float64 `json:"time_to_abort_ms"` // from tripping the guard until every proxy was seen without the fault
	Arm         float64 `json:"arm_ms"`           // until every proxy had the fault
	Proxies     int     `json:"proxies"`
	Why         string  `json:"why"` // it is not OK
}

// Brake tests whether a guard ends a fault: it arms l under the guard, with share 0 so that nobody is struck, trips
// the guard, looks at every proxy whether the fault is gone, and arms the guard again.
func (c *Controller) Brake(ctx context.Context, id string, l injector.Lease, tok string) (b Brake, err error) {
	w, err := c.find(id)
	if err != nil {
		return b, err
	}
	l.Share, l.Guard, l.TTL = 0, id, max(min(l.TTL, 10*time.Second), time.Second)
	l.ID = "brake-" + id
	f, err := c.Arm(ctx, l, nil, tok)
	if err != nil {
		return b, fmt.Errorf("brake test: %w", err)
	}
	b.Arm, b.Proxies = f.Apply, len(f.Proxies)
	began := c.cfg.Clock.Now()
	if _, err := c.TripGuard(ctx, id); err != nil {
		return b, fmt.Errorf("brake test: %w", err)
	}
	b.Why, err = c.seeGone(ctx, l.ID)
	b.TimeToAbort = float64(c.cfg.Clock.Now().Sub(began)) / 1e6
	if err != nil {
		return b, fmt.Errorf("brake test: %w", err)
	}
	b.OK = b.Why == ""
	if !b.OK {
		_, err := c.Disarm(ctx, l.ID)
		return b, err
	}
	if _, err := c.ArmGuard(ctx, w.asked, namesOf(w.proxies), w.token); err != nil {
		return b, fmt.Errorf("brake test: the guard was not armed again: %w", err)
	}
	return b, c.awaitReady(ctx, id)
}

func namesOf(proxies []*proxy) (names []string) {
	for _, p := range proxies {
		names = append(names, p.name)
	}
	return names
}

// seeGone asks every proxy for its leases until none has the fault any more, for at most a second, and says where it
// still is.
func (c *Controller) seeGone(ctx context.Context, id string) (still string, err error) {
	deadline := c.cfg.Clock.Now().Add(time.Second)
	for {
		lists, errs := each(ctx, c, c.proxies, func(ctx context.Context, p *proxy) ([]injector.Status, error) { return p.faults.List(ctx) })
		if err := firstOf(c.proxies, errs); err != nil {
			return "", err
		}
		still = ""
		for i, list := range lists {
			for _, s := range list {
				if s.ID == id && s.State == injector.Live {
					still = c.proxies[i].name + ": the fault is still there"
				}
			}
		}
		now := c.cfg.Clock.Now()
		if still == "" || now.After(deadline) {
			return still, nil
		}
		if err := c.cfg.Clock.SleepUntil(ctx, now.Add(time.Millisecond)); err != nil {
			return still, err
		}
	}
}

// awaitReady waits until a guard that was armed again has looked, for at most three seconds.
func (c *Controller) awaitReady(ctx context.Context, id string) error {
	for deadline := c.cfg.Clock.Now().Add(3 * time.Second); ; {
		g, err := c.Guard(ctx, id)
		if err != nil || g.State == guard.Ready {
			return err
		}
		now := c.cfg.Clock.Now()
		if now.After(deadline) {
			return fmt.Errorf("brake test: guard %s is %s again only: %s", id, g.State, g.Why)
		}
		if err := c.cfg.Clock.SleepUntil(ctx, now.Add(10*time.Millisecond)); err != nil {
			return err
		}
	}
}
