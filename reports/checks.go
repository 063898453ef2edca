package reports

import (
	"fmt"
	"strings"

	"github.com/redlane/redlane/reports/chart"
	"github.com/redlane/redlane/traffic"
)

// A State is how one check ended. A run is as bad as its worst check, so the order matters: a stop by a
// guard explains everything after it, a run that cannot be trusted proves neither success nor failure,
// and a failure outweighs what was not proven.
type State uint8

// The states, mildest first.
const (
	Passed State = iota
	NotProven
	Failed
	Invalid
	Stopped
)

// The groups of checks, in the order in which Checks lists them.
const (
	GroupRun       = "run"
	GroupExpect    = "expect"
	GroupLanes     = "lanes"
	GroupLedger    = "ledger"
	GroupReplay    = "replay"
	GroupFault     = "fault"
	GroupInvariant = "invariant"
)

// A Check is one thing that was looked at to reach the verdict.
type Check struct {
	Group string // one of the Group words
	Name  string // what was checked
	State State
	Got   string // what was measured, may be empty
	Why   string // in plain words; where State is not Passed, why, and outside of GroupExpect and GroupInvariant as a clause of its own
}

// Checks lists everything the verdict of r rests on. It is never empty.
func Checks(r *Run) []Check {
	var c []Check
	c = append(c, ofRun(r)...)
	c = append(c, ofExpect(r)...)
	c = append(c, ofLanes(r)...)
	c = append(c, ofLedgers(r)...)
	c = append(c, ofReplays(r)...)
	c = append(c, ofFaults(r)...)
	return append(c, ofInvariants(r)...)
}

func ofRun(r *Run) []Check {
	whole := Check{Group: GroupRun, Name: "the scenario ran to its end"}
	switch {
	case r.Stopped != "":
		whole.State, whole.Why = Stopped, r.Stopped
	case r.Broken != "":
		whole.State, whole.Why = Invalid, r.Broken
	default:
		for i := range r.Steps {
			if s := &r.Steps[i]; s.Outcome == StepFailed {
				whole.State, whole.Why = Invalid, "step "+s.name()+" could not be carried out"
				if s.Detail != "" {
					whole.Why += ": " + s.Detail
				}
				break
			}
		}
	}
	data := Check{Group: GroupRun, Name: "there is something to judge", Got: chart.Count(exchanges(r)) + " exchanges"}
	if exchanges(r) == 0 {
		data.State, data.Why = Invalid, "no traffic was measured"
	}
	if r.End.IsZero() && whole.State == Passed {
		return []Check{data} // nobody said that it ended
	}
	return []Check{whole, data}
}

// name is the shortest text that tells a reader which step s is.
func (s *Step) name() string {
	if s.Text != "" {
		return s.Text
	}
	return strings.TrimSpace(s.Verb + " " + s.Actor)
}

// exchanges is the most that any one part of r counted: parts see the same traffic, so they do not add up. What a
// replay had read when it was stopped, and never sent, is not among them.
func exchanges(r *Run) (n uint64) {
	var mesh, sent uint64
	for i := range r.Ledgers {
		n = max(n, r.Ledgers[i].Accepted-r.Ledgers[i].Dropped["interrupted"])
	}
	for i := range r.Traffic {
		mesh += r.Traffic[i].Count
	}
	for i := range r.Replays {
		sent += r.Replays[i].Sent
	}
	return max(n, mesh, sent)
}

func ofExpect(r *Run) []Check {
	if len(r.Expect) == 0 {
		return []Check{{Group: GroupRun, Name: "the scenario expects something", State: NotProven, Why: "the scenario states no expectations"}}
	}
	c := make([]Check, len(r.Expect))
	for i, e := range r.Expect {
		c[i] = Check{Group: GroupExpect, Name: e.Text, Got: e.Got, Why: e.Why}
		switch {
		case e.Unproven:
			c[i].State = NotProven
		case !e.OK:
			c[i].State = Failed
		}
	}
	return c
}

func ofLanes(r *Run) []Check {
	if len(r.Lanes) == 0 {
		return nil
	}
	c := Check{Group: GroupLanes, Name: "no traffic left its lane"}
	var n uint64
	var where []string
	for i := range r.Lanes {
		if l := &r.Lanes[i]; l.Escapes > 0 {
			n += l.Escapes
			where = append(where, fmt.Sprintf("%s at %s", plural(l.Escapes, "exchange"), edge(l.Caller, l.Service)))
		}
	}
	c.Got = plural(n, "escape")
	if n > 0 {
		c.State, c.Why = Failed, strings.Join(where, ", ")+" tried to leave lane "+traffic.Color(r.escaped()).Name()
	}
	return []Check{c}
}

// escaped is the colour of the first escape.
func (r *Run) escaped() string {
	for i := range r.Lanes {
		if r.Lanes[i].Escapes > 0 {
			return r.Lanes[i].Color
		}
	}
	return ""
}

func ofLedgers(r *Run) []Check {
	c := make([]Check, len(r.Ledgers))
	for i := range r.Ledgers {
		l := &r.Ledgers[i]
		c[i] = Check{Group: GroupLedger, Name: stage(l) + " ledger balances", Got: chart.Count(l.Accepted) + " accepted"}
		if l.Balance() != nil {
			c[i].State = Invalid
			c[i].Why = fmt.Sprintf("the %s ledger does not balance: %s accepted, %s", stage(l), chart.Count(l.Accepted), unexplained(l))
		}
	}
	return c
}

func stage(l *traffic.Ledger) string {
	if l.Stage == "" {
		return "unnamed"
	}
	return l.Stage
}

func ofReplays(r *Run) []Check {
	var c []Check
	for i := range r.Replays {
		p := &r.Replays[i]
		one := Check{Group: GroupReplay, Name: p.name() + " kept its schedule"}
		switch {
		case p.Sent == 0:
			one.State, one.Why = Invalid, p.name()+" sent nothing"
		case p.LagLimit <= 0:
			continue // nobody asked
		default:
			one.Got = "lag p99 " + chart.Latency(p.Lag.P99)
			one.Why = "limit " + chart.Latency(p.LagLimit)
			if p.Lag.P99 > p.LagLimit {
				one.State = Invalid
				one.Why = fmt.Sprintf("%s sent its requests late: lag p99 is %s, the limit %s", p.name(), chart.Latency(p.Lag.P99), chart.Latency(p.LagLimit))
			}
		}
		c = append(c, one)
	}
	return c
}

func (p *Replay) name() string {
	if p.Name == "" {
		return "replay"
	}
	return p.Name
}

func ofFaults(r *Run) []Check {
	c := make([]Check, len(r.Faults))
	for i := range r.Faults {
		f := &r.Faults[i]
		c[i] = Check{Group: GroupFault, Name: f.name() + " struck", Got: fmt.Sprintf("%s of %s", chart.Count(f.Struck), chart.Count(f.Looked))}
		switch {
		case f.Looked == 0:
			c[i].State, c[i].Why = NotProven, f.name()+" met no exchange, so nothing was seen of it"
		case f.Struck == 0 && f.Asked > 0:
			c[i].State, c[i].Why = NotProven, f.name()+" let every exchange pass, so nothing was seen of it"
		}
	}
	return c
}

// name tells f from the run's other faults.
func (f *Fault) name() string {
	switch {
	case f.ID == "" && f.Kind == "":
		return "fault"
	case f.ID == "" || f.ID == f.Kind:
		return "fault " + f.Kind
	}
	return strings.TrimSpace("fault " + f.ID + " " + paren(f.Kind))
}

func paren(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func ofInvariants(r *Run) []Check {
	c := make([]Check, len(r.Invariants))
	for i, v := range r.Invariants {
		c[i] = Check{Group: GroupInvariant, Name: strings.TrimSpace(v.Service + " in " + traffic.Color(v.Lane).Name() + ": " + v.Name), Why: v.Detail}
		if !v.OK {
			c[i].State = Failed
		}
	}
	return c
}

// edge is how the page writes the way from caller to service.
func edge(caller, service string) string {
	switch {
	case caller == "" && service == "":
		return "anywhere"
	case caller == "":
		return service
	case service == "":
		return caller + " → any"
	}
	return caller + " → " + service
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return chart.Count(n) + " " + noun + "s"
}
