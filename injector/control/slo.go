package control

import (
	"context"

	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/traffic"
)

// SLO is what all proxies together saw of a lane and a service. A proxy that is not reached makes it nodata: what it
// saw might be the worst. Limits that are all zero are those of the configuration.
func (c *Controller) SLO(ctx context.Context, lane traffic.Color, service string, l guard.Limits) guard.SLO {
	if l == (guard.Limits{}) {
		l = c.cfg.Limits
	}
	// The first question waits at the proxy.
	all, errs := eachWithin(ctx, guard.FirstLook+c.cfg.Timeout, c.proxies, func(ctx context.Context, p *proxy) (guard.SLO, error) {
		return p.guards.SLO(ctx, lane, service, l)
	})
	o := guard.Merge(all, l)
	o.Lane, o.Service = lane, service
	if err := firstOf(c.proxies, errs); err != nil {
		o.Verdict, o.Why = guard.NoData, err.Error()
	}
	return o
}
