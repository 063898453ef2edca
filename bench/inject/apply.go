package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
)

var _ = parts.Add("apply", []string{"apply_p99_ms"}, (*bench).apply)

// sites is how many proxies a fault is armed at.
const sites = 50

// apply is the time from the call of the API until every one of 50 proxies has the fault, each a process of its own:
// the controller answers when the last of them has said so. Ending it everywhere is measured beside it.
func (b *bench) apply(ctx context.Context) error {
	var all []*site
	for range sites {
		s, err := b.site(ctx, lab.BothCores, 1, "")
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	c, controller, err := b.serve(ctx, all)
	if err != nil {
		return err
	}
	calls := 400
	if b.quick {
		calls = 150
	}
	lane := lanesOf(1)[0]
	var armed, ended, inside []float64
	for i := range calls + 5 { // five to open connections
		began := time.Now()
		f, err := c.Arm(ctx, refusing("a", lane))
		took := time.Since(began)
		if err != nil {
			return err
		}
		if i%50 == 0 {
			for _, s := range all {
				if n, err := s.live(ctx); err != nil || n != 1 {
					return fmt.Errorf("%s has %d faults, not 1 (%w)", s.admin, n, err)
				}
			}
		}
		began = time.Now()
		if _, err := c.Disarm(ctx, "a"); err != nil {
			return err
		}
		if i >= 5 {
			armed = append(armed, ms(took))
			inside = append(inside, f.Apply)
			ended = append(ended, ms(time.Since(began)))
		}
		if err := controller.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	for _, s := range all {
		if n, err := s.live(ctx); err != nil || n != 0 {
			return fmt.Errorf("%s has %d faults, not 0 (%w)", s.admin, n, err)
		}
	}
	b.Note("ended everywhere after p50 %.2f ms, p99 %.2f ms; the controller itself took p50 %.2f ms, p99 %.2f ms to arm", quantile(ended, 0.5),
		quantile(ended, 0.99), quantile(inside, 0.5), quantile(inside, 0.99))
	b.single("apply_p99_ms", quantile(armed, 0.99), "%d calls, %d proxies: applied at every one after p50 %.2f ms, p99 %.2f ms, at most %.2f ms",
		calls, sites, quantile(armed, 0.5), quantile(armed, 0.99), quantile(armed, 1))
	if err := b.Stop(controller); err != nil {
		return err
	}
	if err := b.stop(all...); err != nil {
		return err
	}
	var proxies time.Duration
	for _, s := range all {
		proxies += cpu(s.Proc)
	}
	b.Note("CPU of a call and its end, programs' starts included: controller %.2f ms, each proxy %.2f ms", ms(cpu(controller))/float64(calls), ms(proxies)/sites/float64(calls))
	return nil
}

func cpu(p *lab.Proc) time.Duration {
	return p.Cmd.ProcessState.UserTime() + p.Cmd.ProcessState.SystemTime()
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
