package redpacket

import (
	"fmt"
	"maps"
)

// An Invariant is something that must hold, and whether it does.
type Invariant struct {
	Name   string           `json:"name"`
	OK     bool             `json:"ok"`
	Detail string           `json:"detail"` // one line for people
	Counts map[string]int64 `json:"counts,omitempty"`
}

// Report is the answer to GET /invariants.
type Report struct {
	Service    string           `json:"service"`
	Lane       string           `json:"lane"` // baseline or the colour
	OK         bool             `json:"ok"`   // all invariants hold
	Invariants []Invariant      `json:"invariants"`
	Colors     map[string]int64 `json:"colors"` // requests seen: baseline, our lane, other
}

type counts = map[string]int64

func check(name string, ok bool, c counts, format string, args ...any) Invariant {
	return Invariant{Name: name, OK: ok, Detail: fmt.Sprintf(format, args...), Counts: c}
}

func (n *node) report() Report {
	r := Report{Service: n.cfg.Service, Lane: n.cfg.Lane.Name(), OK: true, Invariants: n.service.invariants()}
	r.Colors = counts{"baseline": n.none.Load(), "other": n.other.Load()}
	r.Colors[n.cfg.Lane.Name()] += n.own.Load()
	for _, i := range r.Invariants {
		r.OK = r.OK && i.OK
	}
	return r
}

// laneKept is the invariant of every service. foreign is how many foreign ids count against it: at the
// gateway none, because there they come from outside and refusing them is its job.
func (n *node) laneKept(foreign int64, more counts) Invariant {
	c := counts{"escapes": n.escapes.Load(), "foreign_ids": n.foreign.Load()}
	maps.Copy(c, more)
	return check("lane kept", c["escapes"] == 0 && foreign == 0, c, "%d escapes, %d ids of another lane, all refused", c["escapes"], c["foreign_ids"])
}

// Audit compares what the services of one lane say of each other, where no one of them can see the whole.
// The reports must have been taken after the traffic ended; what is in flight may be, and is counted.
func Audit(shake, packet, account Report) []Invariant {
	s, p, a := shake.counts(), packet.counts(), account.counts()
	inFlight := p["budget"] - s["money_in_pool"] - a["money_credited"]
	return []Invariant{
		check("money conserved in the lane", s["money"] == p["budget"] && inFlight >= 0 && inFlight <= s["money_in_flight"]+p["money_in_flight"],
			counts{"budget": p["budget"], "in_pool": s["money_in_pool"], "credited": a["money_credited"], "in_flight": inFlight},
			"budget %d = %d in the pool + %d credited + %d in flight", p["budget"], s["money_in_pool"], a["money_credited"], inFlight),
		check("credited packets were opened", a["credited"] <= p["opened"] && p["credited"] <= a["credited"] && a["credited"] <= p["credited"]+p["in_flight"], nil,
			"%d known to be credited <= %d credited <= %d opened", p["credited"], a["credited"], p["opened"]),
		check("opened packets were handed out", s["opened"] <= p["opened"] && p["opened"] <= s["opened"]+s["in_flight"], nil,
			"%d known to be opened <= %d opened <= %d handed out", s["opened"], p["opened"], s["opened"]+s["in_flight"]),
	}
}

// counts are those of the first invariant, the one about money.
func (r Report) counts() counts {
	if len(r.Invariants) == 0 {
		return nil
	}
	return r.Invariants[0].Counts
}
