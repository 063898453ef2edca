package lanes

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/redlane/redlane/traffic"
)

const numReasons = traffic.NumLaneReasons

// noService numbers the services that the table does not know; names[i] has number i+1.
const noService = 0

// Numbers of colours.
const (
	baselineColor = iota
	unknownColor
	firstColor
)

// A tally counts the decisions about one service and one colour by reason.
type tally [numReasons]atomic.Uint64

// A shard has the counters of the loops whose sessions fall on it: a counter that two cores write costs
// each of them a cache miss for every exchange.
type shard struct {
	tallies []atomic.Pointer[tally] // one for every service, and for traffic to no service we know, times every colour
	sources [numSources]atomic.Uint64
	_       [64]byte // the next shard is another core's
}

// numShards is a power of two. A proxy gives its loops' sessions successive upper 16 bits, so that up to
// this many loops share nothing.
const numShards = 16

// slots is the size of shard.tallies. Only a pointer each: a tally is made when its first exchange comes.
func (t *Table) slots() int { return (len(t.names) + 1) * (firstColor + len(t.colors)) }

func (f *Filter) count(x *traffic.Exchange, from Source, service, color int) {
	s := &f.shards[x.Session>>48%numShards]
	s.sources[from].Add(1)
	slot := &s.tallies[service*(firstColor+len(f.table.colors))+color]
	t := slot.Load()
	if t == nil {
		slot.CompareAndSwap(nil, new(tally))
		t = slot.Load()
	}
	t[x.LaneReason].Add(1)
}

// sum adds the shards up. A slot without exchanges is nil.
func (f *Filter) sum() (tallies []*[numReasons]uint64, sources [numSources]uint64) {
	tallies = make([]*[numReasons]uint64, f.table.slots())
	for i := range f.shards {
		s := &f.shards[i]
		for source := range s.sources {
			sources[source] += s.sources[source].Load()
		}
		for slot := range s.tallies {
			t := s.tallies[slot].Load()
			if t == nil {
				continue
			}
			if tallies[slot] == nil {
				tallies[slot] = new([numReasons]uint64)
			}
			for why := range t {
				tallies[slot][why] += t[why].Load()
			}
		}
	}
	return tallies, sources
}

// Counts is a snapshot of what a Filter has decided.
type Counts struct {
	Rows      []Row             `json:"rows"`
	Sources   map[string]uint64 `json:"sources"`   // by what coloured the exchange: header, configured, baggage, caller, none
	Conflicts uint64            `json:"conflicts"` // requests whose carriers disagreed
	Escapes   uint64            `json:"escapes"`   // an instance of one lane called under another colour (refused), or stress traffic without a colour (served)
	Caught    uint64            `json:"caught"`    // stopped by Escapes just before use; anything but 0 is a mistake of ours
}

// Row counts the exchanges of one service that came under one colour and were resolved one way.
type Row struct {
	Service string        `json:"service"` // empty: no service we know
	Color   traffic.Color `json:"color"`   // empty is uncoloured; Unknown is all colours without a lane together
	Lane    traffic.Color `json:"lane"`    // where they went; empty is the baseline, or nowhere if refused
	Reason  string        `json:"reason"`  // of traffic.LaneReason
	Refused bool          `json:"refused"`
	N       uint64        `json:"n"`
}

// Refused is the number of exchanges answered because of their lane, escapes among them.
func (c *Counts) Refused() (n uint64) {
	for _, r := range c.Rows {
		if r.Refused {
			n += r.N
		}
	}
	return n
}

// Counts returns what has been counted so far, rows in order of service, colour and reason. Each counter is exact;
// together they are of one moment only when no exchange is under way.
func (f *Filter) Counts() Counts {
	t := f.table
	colors := make([]traffic.Color, firstColor+len(t.colors))
	colors[unknownColor] = Unknown
	for _, c := range t.colors {
		colors[c.number] = c.name
	}
	c := Counts{Sources: make(map[string]uint64, numSources), Conflicts: f.conflicts.Load(), Caught: f.caught.Load()}
	tallies, sources := f.sum()
	for i, n := range sources {
		c.Sources[Source(i).String()] = n
	}
	for i, counted := range tallies {
		if counted == nil {
			continue
		}
		row := Row{Color: colors[i%len(colors)]}
		if s := i / len(colors); s > noService {
			row.Service = t.names[s-1]
		}
		for why := range counted {
			if row.N = counted[why]; row.N == 0 {
				continue
			}
			reason := traffic.LaneReason(why)
			row.Reason, row.Refused, row.Lane = reason.String(), reason.Refused(), ""
			if reason == traffic.LaneMatched {
				row.Lane = row.Color
			}
			if reason.Escaped() {
				c.Escapes += row.N
			}
			c.Rows = append(c.Rows, row)
		}
	}
	slices.SortFunc(c.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Color, b.Color), cmp.Compare(a.Reason, b.Reason))
	})
	return c
}
