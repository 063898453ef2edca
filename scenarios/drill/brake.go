package drill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/redlane/redlane/injector"
)

// A Brake is the proof that the drill can be stopped: at every proxy a lease was armed that strikes nothing, the
// brake was pulled, and the lease was gone.
type Brake struct {
	How    string  `json:"how"` // the guard was tripped, or the lease was removed
	TookMS float64 `json:"time_to_abort_ms"`
	Why    string  `json:"why,omitempty"` // why it did not work
}

// brakeID names the lease of the brake test.
func (r *run) brakeID() string { return "brake-" + string(r.drill.Lane) }

// testBrake arms a lease that strikes nothing at every proxy, pulls the brake, and looks until all are gone.
func (r *run) testBrake(ctx context.Context) error {
	lease := injector.Lease{
		ID: r.brakeID(), Lane: r.drill.Lane, Edge: r.drill.Edge, TTL: 30 * time.Second, Seed: r.drill.Seed,
		Fault: new(injector.Reset), // the share is 0: nobody meets it
	}
	arm := func(one *proxy) error {
		_, err := one.faults.Add(ctx, lease)
		return err
	}
	r.record.Brake = &Brake{How: "the lease was removed"}
	if r.guarded {
		lease.Guard = r.drill.Guard.ID
		r.record.Brake.How = "guard " + r.drill.Guard.ID + " was tripped"
	}
	if err := r.plane.each(arm); err != nil {
		return r.brakeFailed(fmt.Errorf("arm the lease that is to be stopped: %w", err))
	}
	live, err := r.plane.lives(ctx)
	if err != nil || countLive(live, lease.ID) != len(r.plane.proxies) {
		return r.brakeFailed(errors.Join(errors.New("the lease that is to be stopped is not live at every proxy"), err))
	}
	pulled := r.clock.Now()
	err = r.plane.each(func(one *proxy) (err error) {
		if r.guarded {
			_, err = one.guards.Trip(ctx, r.drill.Guard.ID)
		} else {
			_, err = one.faults.Remove(ctx, lease.ID)
		}
		return err
	})
	if err != nil {
		return r.brakeFailed(err)
	}
	if live, err = r.plane.lives(ctx); err != nil || countLive(live, lease.ID) != 0 {
		return r.brakeFailed(errors.Join(errors.New("the lease is still live"), err))
	}
	r.record.Brake.TookMS = math.Round(ms(r.clock.Now().Sub(pulled))*1000) / 1000
	r.audit("brake tested: %s, gone at %d proxies after %.1f ms", r.record.Brake.How, len(r.plane.proxies), r.record.Brake.TookMS)
	return nil
}

func (r *run) brakeFailed(err error) error {
	r.record.Brake.Why = err.Error()
	r.audit("the brake does not work: %v", err)
	return &Refusal{"the brake works", err.Error()}
}

func countLive(live [][]injector.Status, id string) (n int) {
	for _, list := range live {
		for i := range list {
			if list[i].ID == id {
				n++
			}
		}
	}
	return n
}
