package clickhouse

import (
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/redlane/redlane/recorder/template"
)

// Columns are the rows of one block of the table exchange, on their way in or out. They are used again
// and again: appending a row allocates nothing once they have grown.
type columns struct {
	rec                                        proto.ColUInt32
	shard                                      proto.ColUInt8
	ts                                         proto.ColDateTime64
	session, seq, id                           proto.ColUInt64
	src, dst, srcLane, color, lane, laneReason dict
	srcAddr, dstAddr                           proto.ColIPv6
	srcPort, dstPort                           proto.ColUInt16
	method, tmpl, reason                       dict
	path, qh, qt, qbody, rh, rt, rbody         proto.ColStr
	qminor, rminor                             proto.ColUInt8
	status                                     proto.ColInt32
	firstNS, latNS, faultDelayNS, qlen, rlen   proto.ColInt64
	trace                                      proto.ColFixedStr
	weight                                     proto.ColFloat32
	flags, size                                proto.ColUInt32
	expires                                    proto.ColDateTime
	faultRule, faultKind                       dict
	faultHit                                   proto.ColBool

	first  int             // reading: rows before it were handed over earlier
	routes *template.Table // writing: finds tmpl; made with the first row where none was given
}

// swap exchanges the rows of two blocks. What was made by input or results stays with its own.
func (c *columns) swap(o *columns) { *c, *o = *o, *c }

func newColumns() *columns {
	c := new(columns)
	c.ts.WithPrecision(proto.PrecisionNano).WithLocation(time.UTC)
	c.trace.SetSize(16)
	return c
}

// A column is one column of the table under its name.
type column struct {
	name      string
	data      proto.Column
	writeOnly bool // not needed to make the exchange again
}

// all lists the columns in the order of the table. The order of reading and writing follows it.
func (c *columns) all() []column {
	return []column{
		{"rec", &c.rec, true}, {"shard", &c.shard, true},
		{"ts", &c.ts, false}, {"session", &c.session, false}, {"seq", &c.seq, false}, {"id", &c.id, false},
		{"src", &c.src, false}, {"dst", &c.dst, false}, {"src_lane", &c.srcLane, false},
		{"src_addr", &c.srcAddr, false}, {"src_port", &c.srcPort, false}, {"dst_addr", &c.dstAddr, false}, {"dst_port", &c.dstPort, false},
		{"color", &c.color, false}, {"lane", &c.lane, false}, {"lane_reason", &c.laneReason, false},
		{"method", &c.method, false}, {"path", &c.path, false}, {"tmpl", &c.tmpl, true},
		{"status", &c.status, false}, {"reason", &c.reason, false}, {"qminor", &c.qminor, false}, {"rminor", &c.rminor, false},
		{"first_ns", &c.firstNS, false}, {"lat_ns", &c.latNS, false},
		{"fault_rule", &c.faultRule, false}, {"fault_kind", &c.faultKind, false}, {"fault_hit", &c.faultHit, false}, {"fault_delay_ns", &c.faultDelayNS, false},
		{"trace", &c.trace, false}, {"weight", &c.weight, false}, {"flags", &c.flags, false},
		{"qlen", &c.qlen, false}, {"rlen", &c.rlen, false},
		{"qh", &c.qh, false}, {"qt", &c.qt, false}, {"rh", &c.rh, false}, {"rt", &c.rt, false},
		{"qbody", &c.qbody, false}, {"rbody", &c.rbody, false},
		{"size", &c.size, true}, {"expires", &c.expires, true},
	}
}

// input is what an INSERT sends.
func (c *columns) input() (in proto.Input) {
	for _, col := range c.all() {
		in = append(in, proto.InputColumn{Name: col.name, Data: col.data})
	}
	return in
}

// results is what a SELECT of selected fills.
func (c *columns) results() (out proto.Results) {
	for _, col := range c.all() {
		if !col.writeOnly {
			out = append(out, proto.ResultColumn{Name: col.name, Data: col.data})
		}
	}
	return out
}

// selected is the list of columns that results expects.
func selected() string {
	var names []string
	for _, r := range newColumns().results() {
		names = append(names, r.Name)
	}
	return strings.Join(names, ", ")
}

func (c *columns) reset() {
	for _, col := range c.all() {
		col.data.Reset()
	}
}

// route is the template of a request.
func (c *columns) route(service string, method, target []byte) string {
	if c.routes == nil {
		c.routes, _ = template.New(template.Config{}) // nothing in it to be wrong
	}
	return c.routes.Route(service, method, target)
}

func (c *columns) rows() int { return len(c.ts.Data) }
