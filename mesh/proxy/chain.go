package proxy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/traffic"
)

// A Level is a height in the chain.
type Level uint8

// The levels, outermost first. Request halves run down this list, Response halves up it.
const (
	Tap   Level = iota // outside everything: what is recorded is what the caller truly saw, faults included
	Lane               // the proxy's own: colour and route, so that what stands below knows both
	Fault              // below the route, because faults are aimed at lanes; above forward, because they stand in for the service
)

func (l Level) String() string { return [...]string{"tap", "lane", "fault"}[l] }

// A Slot puts a filter at a level of the chain. Several slots of one level run in the order given.
type Slot struct {
	Name    string         // for /config and for people
	Level   Level          // Tap or Fault
	Service string         // only exchanges to this service; empty: all. Other services' chains do not hold the filter at all
	Filter  traffic.Filter // a traffic.BodyFilter sees bodies too
}

func (s *Slot) check() error {
	switch {
	case s.Filter == nil:
		return errors.New("no filter")
	case s.Level != Tap && s.Level != Fault:
		return fmt.Errorf("filter %q: level must be Tap or Fault", s.Name)
	}
	return nil
}

// A chain is what one service's exchanges pass through. It is built once per configuration: an empty slot
// is not in it and costs nothing.
type chain struct {
	filters []traffic.Filter
	bodies  []bodyFilter
	conns   []traffic.ConnFilter
}

// A bodyFilter is a filter of the chain that also looks at bodies, and its place: it sees them only where
// its Request half was called.
type bodyFilter struct {
	traffic.BodyFilter
	at int
}

// newChain writes the order down. Metrics and the access log are not filters: each loop keeps its own, and
// they are told after the last Response half, when nothing about the exchange changes any more.
func newChain(service string, route *lanes.Filter, slots []Slot) (c chain) {
	c.level(service, slots, Tap) // outermost: sees the caller's own bytes, and every answer whoever gave it
	if route != nil {            // else there is nothing to choose from
		c.add(route) // next: colour, then route, or a refusal that no fault may hide
	}
	c.level(service, slots, Fault) // last before forward: strikes what would have reached the service
	c.filters = slices.Clip(c.filters)
	return c
}

func (c *chain) level(service string, slots []Slot, l Level) {
	for _, s := range slots {
		if s.Level == l && (s.Service == "" || s.Service == service) {
			c.add(s.Filter)
		}
	}
}

func (c *chain) add(f traffic.Filter) {
	if b, ok := f.(traffic.BodyFilter); ok {
		c.bodies = append(c.bodies, bodyFilter{b, len(c.filters)})
	}
	if f, ok := f.(traffic.ConnFilter); ok {
		c.conns = append(c.conns, f)
	}
	c.filters = append(c.filters, f)
}
