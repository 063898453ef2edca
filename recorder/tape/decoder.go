package tape

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A decoder reads the records of one block, one after the other. Everything it yields points into them, but
// for strings, which are interned.
type decoder struct {
	cursor           // over the whole, or over the numbers when it is in pieces
	request   cursor // over the requests
	response  cursor // and the responses
	cut, bare bool   // in pieces; and without the responses
	names     *interner
	n         int // records read
	prevStart int64
	prevID    uint64
	sessions  []session
	routes    []route
	blobs     Blobs // of the record filled last
}

// A head is what depends on the records before. With it a record can be read in any order.
type head struct {
	start                 int64
	id, seq               uint64
	session, route        uint32
	at, request, response uint32 // offsets of the fields after the head; the last two in pieces
}

func (d *decoder) reset(r *records) {
	d.cut, d.bare = r.parts > 1, r.parts == responsePiece
	d.cursor, d.request, d.response = cursor{b: r.piece(numbersPiece)}, cursor{}, cursor{}
	if d.cut {
		d.request.b = r.piece(requestPiece)
	}
	if d.cut && !d.bare {
		d.response.b = r.piece(responsePiece)
	}
	d.n, d.prevStart, d.prevID = 0, 0, 0
	d.sessions, d.routes = d.sessions[:0], d.routes[:0]
}

// broken reports whether a value was not what it should be.
func (d *decoder) broken() bool { return d.bad || d.request.bad || d.response.bad }

// end returns an error when something follows the last record.
func (d *decoder) end() error {
	if rest := len(d.b) - d.i + len(d.request.b) - d.request.i + len(d.response.b) - d.response.i; rest > 0 {
		return fmt.Errorf("%d bytes follow the last record", rest)
	}
	return nil
}

// head reads fields 0 to 4 of the next record into h.
func (d *decoder) head(h *head) {
	d.array(numFields)
	h.start = d.prevStart + d.int()
	d.prevStart = h.start
	h.session = d.session()
	s := &d.sessions[h.session]
	h.seq = s.next + uint64(d.int())
	s.next = h.seq + 1
	h.id = d.prevID + uint64(d.int())
	d.prevID = h.id
	h.route = d.route()
	h.at, h.request, h.response = uint32(d.i), uint32(d.request.i), uint32(d.response.i)
	d.n++
}

func (d *decoder) session() uint32 {
	if !d.isArray() {
		n := d.uint()
		if n < uint64(len(d.sessions)) {
			return uint32(n)
		}
		d.fail()
	} else {
		d.array(2)
		id := d.uint()
		d.sessions = append(d.sessions, session{id: id, addr: d.addr()})
		return uint32(len(d.sessions) - 1)
	}
	if len(d.sessions) == 0 {
		d.sessions = append(d.sessions, session{})
	}
	return 0
}

func (d *decoder) route() uint32 {
	if !d.isArray() {
		n := d.uint()
		if n < uint64(len(d.routes)) {
			return uint32(n)
		}
		d.fail()
	} else {
		d.array(7)
		var r route
		r.src, r.dst = d.name(), d.name()
		r.srcLane, r.color, r.lane = traffic.Color(d.name()), traffic.Color(d.name()), traffic.Color(d.name())
		r.reason = traffic.LaneReason(d.small(255))
		r.addr = d.addr()
		d.routes = append(d.routes, r)
		return uint32(len(d.routes) - 1)
	}
	if len(d.routes) == 0 {
		d.routes = append(d.routes, route{})
	}
	return 0
}

func (d *decoder) name() string { return d.names.get(d.bytes()) }

func (c *cursor) small(limit uint64) uint64 {
	v := c.uint()
	if v > limit {
		c.fail()
		return 0
	}
	return v
}

func (d *decoder) addr() (a netip.AddrPort) {
	if err := a.UnmarshalBinary(d.bytes()); err != nil {
		d.fail()
	}
	return a
}

// heads appends the heads of all n records, in the order of writing.
func (d *decoder) heads(hs []head, n int) ([]head, error) {
	for range n {
		if len(hs) == cap(hs) {
			hs = slices.Grow(hs, 1)
		}
		d.head(&hs[:len(hs)+1][len(hs)]) // in place, see ParseHeaders
		if d.cut {
			d.skip(fieldsToTarget - fieldsOfHead + fieldsTraceToFault + 1)
			d.request.skip(1 + fieldsOfRequest)
			if !d.bare {
				d.response.skip(fieldsOfResponse)
			}
		} else {
			d.skip(numFields - fieldsOfHead)
		}
		if d.broken() {
			return hs, d.damage()
		}
		hs = hs[:len(hs)+1]
	}
	return hs, d.end()
}

func (d *decoder) damage() error {
	return fmt.Errorf("record %d of the block is damaged near its byte %d", d.n-1, d.i)
}

// fill reads the rest of the record with head h into x.
func (d *decoder) fill(h *head, x *traffic.Exchange) {
	s, r := &d.sessions[h.session], &d.routes[h.route]
	request, response := &d.cursor, &d.cursor
	d.i = int(h.at)
	if d.cut {
		request, response = &d.request, &d.response
		request.i, response.i = int(h.request), int(h.response)
	}
	x.Edits, x.Endpoints = x.Edits[:0], nil
	x.ID, x.Session, x.Seq, x.Start = h.id, s.id, h.seq, h.start
	x.Src, x.Dst, x.SrcLane, x.Color, x.Lane, x.LaneReason = r.src, r.dst, r.srcLane, r.color, r.lane, r.reason
	x.SrcAddr, x.DstAddr = s.addr, r.addr

	x.FirstByte = time.Duration(d.int())
	x.Latency = x.FirstByte + time.Duration(d.int())
	q, p := &x.Request, &x.Response
	q.Target = request.bytes()
	if d.nil() {
		x.Trace = [16]byte{}
	} else if t := d.bytes(); len(t) == len(x.Trace) {
		x.Trace = [16]byte(t)
	} else {
		d.fail()
	}
	x.Flags = traffic.Flags(d.small(1<<32 - 1))
	x.Weight = 1
	if !d.nil() {
		x.Weight = d.float32()
	}
	x.Fault = traffic.Injected{}
	if !d.nil() {
		d.array(4)
		x.Fault.Rule, x.Fault.Kind = d.name(), d.name()
		x.Fault.Hit, x.Fault.Delay = d.bool(), time.Duration(d.int())
	}
	q.Method = request.bytes()
	q.Status, q.Reason = 0, nil
	request.message(q, &d.blobs.RequestHeaders, &d.blobs.RequestTrailers)
	p.Method, p.Target = nil, nil
	p.Status = int(d.int())
	if d.bare {
		p.Reason, p.Minor, p.BodySize, p.Body = nil, 0, 0, nil
		p.Headers, p.Trailers = p.Headers[:0], p.Trailers[:0]
		return
	}
	p.Reason = response.bytes()
	response.message(p, &d.blobs.ResponseHeaders, &d.blobs.ResponseTrailers)
}

func (c *cursor) message(m *traffic.Message, headers, trailers *[]byte) {
	m.Minor = uint8(c.small(255))
	*headers = c.bytes()
	m.Headers = c.lines(m.Headers[:0], *headers)
	*trailers = c.bytes()
	m.Trailers = c.lines(m.Trailers[:0], *trailers)
	m.Body = c.bytes()
	m.BodySize = int64(len(m.Body)) + c.int()
}

func (c *cursor) lines(h []traffic.Header, blob []byte) []traffic.Header {
	if len(blob) == 0 {
		return h
	}
	h, err := ParseHeaders(h, blob)
	if err != nil {
		c.fail()
	}
	return h
}

// next reads the next record whole, in the order of writing.
func (d *decoder) next(x *traffic.Exchange) error {
	var h head
	d.head(&h)
	if !d.bad {
		d.fill(&h, x)
	}
	if d.broken() {
		return d.damage()
	}
	return nil
}

// An interner keeps one copy of each name of a service, lane or fault.
type interner struct{ m map[string]string }

// maxNames bounds the memory of an interner on a tape that was made to fill it.
const maxNames = 1 << 16

func (t *interner) get(b []byte) string {
	if s, ok := t.m[string(b)]; ok {
		return s
	}
	if t.m == nil || len(t.m) >= maxNames {
		t.m = make(map[string]string)
	}
	s := string(b)
	t.m[s] = s
	return s
}
