package lanes

import (
	"sync/atomic"

	"github.com/redlane/redlane/traffic"
)

// A Filter gives every exchange its colour and the endpoints it may go to, or refuses it with 503. It
// needs Dst, Src and SrcLane, the Request and Start set; it sets Color, Lane, LaneReason and Endpoints,
// and the carriers for the next hop. One Filter serves any number of loops at once.
type Filter struct {
	table  *Table
	header []byte // Table.header, as SetHeader wants it
	shards [numShards]shard

	conflicts, caught atomic.Uint64
}

var _ traffic.Filter = (*Filter)(nil)

// NewFilter returns a filter that routes by t, its counters at zero.
func NewFilter(t *Table) *Filter {
	f := &Filter{table: t, header: []byte(t.header)}
	for i := range f.shards {
		f.shards[i].tallies = make([]atomic.Pointer[tally], t.slots())
	}
	return f
}

// Table is what the filter routes by.
func (f *Filter) Table() *Table { return f.table }

// Request implements traffic.Filter. It allocates nothing for uncoloured requests, nor for coloured ones
// unless their baggage must be written anew.
func (f *Filter) Request(x *traffic.Exchange) traffic.Action {
	c := read(x.Request.Headers, f.table.header)
	if c.conflict {
		f.conflicts.Add(1)
	}
	switch {
	case c.source != FromNothing:
	case x.SrcLane != "":
		c.source = FromCaller
	default:
		x.Color = ""
		r, _ := f.table.route(x.Dst, "")
		x.Endpoints, x.Lane, x.LaneReason = r.resolve("", x.Start)
		if c.stress {
			x.LaneReason = traffic.LaneStress
		}
		f.count(x, FromNothing, r.service, baselineColor)
		return traffic.Action{}
	}
	return f.coloured(x, &c)
}

func (f *Filter) coloured(x *traffic.Exchange, c *carried) traffic.Action {
	known := f.table.colors[string(c.value)]
	if c.source == FromCaller {
		known = f.table.colors[string(x.SrcLane)]
	}
	number := unknownColor
	if known != nil {
		x.Color, number = known.name, known.number
	} else {
		x.Color = stranger(x, c)
	}
	r, _ := f.table.route(x.Dst, x.Color)
	switch {
	case x.SrcLane != "" && x.Color != x.SrcLane:
		x.Endpoints, x.Lane, x.LaneReason = nil, "", traffic.LaneEscape
	case known == nil:
		x.Endpoints, x.Lane, x.LaneReason = nil, "", traffic.LaneUnknown
	default:
		x.Endpoints, x.Lane, x.LaneReason = r.resolve(x.Color, x.Start)
	}
	f.count(x, c.source, r.service, number)
	if x.LaneReason.Refused() {
		return refuse(x)
	}
	f.carry(x, c, known)
	return traffic.Action{}
}

// stranger is the colour of an exchange that names no lane we know.
func stranger(x *traffic.Exchange, c *carried) traffic.Color {
	if c.source == FromCaller {
		return x.SrcLane
	}
	return ColorOf(c.value)
}

func refuse(x *traffic.Exchange) traffic.Action {
	reply := traffic.Reply{Status: 503, Flag: traffic.FlagLaneRefused}
	switch lane := "lane " + string(x.Color); x.LaneReason {
	case traffic.LaneEscape:
		reply.Flag = traffic.FlagLaneEscape
		reply.Body = lane + ": escape: the caller is an instance of lane " + string(x.SrcLane) + "\n"
	case traffic.LaneNotFound:
		reply.Body = lane + ": no instance of " + x.Dst + ", and its rule keeps it from the baseline\n"
	case traffic.LaneUnhealthy:
		reply.Body = lane + ": no healthy instance of " + x.Dst + ", and its rule keeps it from the baseline\n"
	default:
		reply.Body = lane + ": no such lane\n"
	}
	return traffic.Action{Reply: reply}
}

// Response implements traffic.Filter. There is nothing left to do.
func (f *Filter) Response(*traffic.Exchange) {}
