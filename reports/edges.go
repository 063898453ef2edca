package reports

import (
	"cmp"
	"slices"
	"time"
)

// An edgeView is one way through the mesh with the series of each lane that used it.
type edgeView struct {
	Caller, Service string
	Lanes           []*Series // baseline first
	count           uint64
	faulty          bool
}

// edges groups the traffic of r. Edges with a fault come first, then the busiest.
func edges(r *Run) []*edgeView {
	var all []*edgeView
	index := make(map[[2]string]*edgeView)
	for i := range r.Traffic {
		s := &r.Traffic[i]
		key := [2]string{s.Caller, s.Service}
		e := index[key]
		if e == nil {
			e = &edgeView{Caller: s.Caller, Service: s.Service}
			for k := range r.Faults {
				e.faulty = e.faulty || r.Faults[k].on(s.Caller, s.Service)
			}
			index[key] = e
			all = append(all, e)
		}
		e.Lanes = append(e.Lanes, s)
		e.count += s.Count
	}
	for _, e := range all {
		slices.SortStableFunc(e.Lanes, func(a, b *Series) int { return cmp.Compare(a.Lane, b.Lane) })
	}
	slices.SortStableFunc(all, func(a, b *edgeView) int {
		if a.faulty != b.faulty {
			if a.faulty {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.count, a.count)
	})
	return all
}

// An effect is what a fault did to one lane: the typical p99 of a second before, during and after it.
// Zero is "no whole second of traffic there".
type effect struct {
	Lane                  string
	Before, During, After time.Duration
}

// effects compares the lane of f with the baseline on the busiest edge it lay on, so that a reader sees
// the fault in the one and not in the other.
func effects(r *Run, all []*edgeView, f *Fault) (on *edgeView, out []effect) {
	for _, e := range all {
		if f.on(e.Caller, e.Service) && e.has(f.Lane) && (on == nil || e.count > on.count) {
			on = e
		}
	}
	if on == nil {
		return nil, nil
	}
	from, to := f.From, f.end(r.length())
	for _, s := range on.Lanes {
		if s.Lane != f.Lane && s.Lane != "" {
			continue
		}
		var before, during, after []time.Duration
		for i := range s.Seconds {
			begin := time.Duration(s.Seconds[i].Second) * time.Second
			p99 := s.Seconds[i].P99
			switch end := begin + time.Second; {
			case p99 == 0 || s.Seconds[i].Count == 0:
			case end <= from:
				before = append(before, p99)
			case begin >= from && end <= to:
				during = append(during, p99)
			case begin >= to+time.Second: // the second in which requests held by the fault still end counts for neither
				after = append(after, p99)
			}
		}
		out = append(out, effect{s.Lane, median(before), median(during), median(after)})
	}
	slices.SortStableFunc(out, func(a, b effect) int { // the lane of the fault first
		return cmp.Compare(btoi(a.Lane != f.Lane), btoi(b.Lane != f.Lane))
	})
	return on, out
}

func (e *edgeView) has(lane string) bool {
	return slices.ContainsFunc(e.Lanes, func(s *Series) bool { return s.Lane == lane })
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
