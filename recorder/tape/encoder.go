package tape

import (
	"net/netip"

	"github.com/redlane/redlane/traffic"
)

// MaxRecord is the largest record in bytes: two bodies of 64 MiB, twice over. Bodies are cut long before, see recorder.
const MaxRecord = 256 << 20

// PageSize is the usual size in bytes of a block's records: measured, smaller ones compress worse and
// larger ones gain 2 %.
const PageSize = 256 << 10

// A Page is the records of one block, encoded and ready to be written.
type Page struct {
	Data        []byte
	Records     int
	First, Last int64 // earliest and latest Start, Unix nanoseconds
}

// An Encoder fills pages with records. The zero Encoder must be given a page first. It is for one
// goroutine at a time, and allocates nothing once it has seen as many sessions as a page holds.
type Encoder struct {
	page      Page
	prevStart int64
	prevID    uint64

	sessions []session
	slots    []slot // open addressing; a slot counts only if it has the current age
	age      uint32

	routes   []route
	routeIdx map[route]uint32
}

type session struct {
	id    uint64
	addr  netip.AddrPort
	next  uint64 // seq expected next
	route uint32 // last route, nearly always the next one too
}

type slot struct {
	id       uint64
	age, idx uint32
}

// A route is what records of the same way through the mesh have in common.
type route struct {
	src, dst    string
	srcLane     traffic.Color
	color, lane traffic.Color
	reason      traffic.LaneReason
	addr        netip.AddrPort
}

// Start makes b the page to fill. Its capacity is the limit.
func (e *Encoder) Start(b []byte) {
	e.page = Page{Data: b[:0]}
	e.prevStart, e.prevID = 0, 0
	e.sessions = e.sessions[:0]
	e.routes = e.routes[:0]
	clear(e.routeIdx)
	if e.age++; e.age == 0 || e.slots == nil {
		e.slots, e.age = make([]slot, max(256, len(e.slots))), 1
		e.routeIdx = make(map[route]uint32)
	}
}

// Page is what has been filled so far. Its bytes belong to the page given to Start.
func (e *Encoder) Page() Page { return e.page }

// Append adds x, or reports false and changes nothing when x might not fit into what is left of the page.
// It reads everything of x but Edits and Endpoints, and holds on to nothing but x's strings.
func (e *Encoder) Append(x *traffic.Exchange) bool {
	b := e.page.Data
	var lens blobLens
	lens.of(x)
	if cap(b)-len(b) < bound(x, &lens) {
		return false
	}
	b = append(b, 0xdc, 0, numFields)
	b = appendInt(b, x.Start-e.prevStart)
	e.prevStart = x.Start

	s, b := e.session(b, x)
	b = appendInt(b, int64(x.Seq-s.next))
	s.next = x.Seq + 1
	b = appendInt(b, int64(x.ID-e.prevID))
	e.prevID = x.ID
	b = e.route(b, s, x)

	b = appendInt(b, int64(x.FirstByte))
	b = appendInt(b, int64(x.Latency-x.FirstByte))
	b = appendBin(b, x.Request.Target)
	if x.Trace == ([16]byte{}) {
		b = appendNil(b)
	} else {
		b = appendBin(b, x.Trace[:])
	}
	b = appendUint(b, uint64(x.Flags))
	if x.Weight == 1 {
		b = appendNil(b)
	} else {
		b = appendFloat32(b, x.Weight)
	}
	if x.Fault == (traffic.Injected{}) {
		b = appendNil(b)
	} else {
		b = appendFault(b, &x.Fault)
	}
	b = appendBin(b, x.Request.Method)
	b = appendMessage(b, &x.Request, lens[0], lens[1])
	b = appendInt(b, int64(x.Response.Status))
	b = appendBinOrNil(b, x.Response.Reason)
	b = appendMessage(b, &x.Response, lens[2], lens[3])

	p := &e.page
	p.Data = b
	if p.Records == 0 {
		p.First, p.Last = x.Start, x.Start
	}
	p.First, p.Last = min(p.First, x.Start), max(p.Last, x.Start)
	p.Records++
	return true
}

func appendFault(b []byte, f *traffic.Injected) []byte {
	b = appendArray(b, 4)
	b = appendString(b, f.Rule)
	b = appendString(b, f.Kind)
	b = appendBool(b, f.Hit)
	return appendInt(b, int64(f.Delay))
}

func appendMessage(b []byte, m *traffic.Message, headers, trailers int) []byte {
	b = appendUint(b, uint64(m.Minor))
	b = appendBlob(b, m.Headers, headers)
	b = appendBlob(b, m.Trailers, trailers)
	b = appendBinOrNil(b, m.Body)
	return appendInt(b, m.BodySize-int64(len(m.Body)))
}

func appendBlob(b []byte, h []traffic.Header, size int) []byte {
	if len(h) == 0 {
		return appendNil(b)
	}
	return AppendHeaders(appendBinHead(b, size), h)
}

// session appends the reference to x's session, or its definition when the page does not have it yet.
func (e *Encoder) session(b []byte, x *traffic.Exchange) (*session, []byte) {
	mask := uint64(len(e.slots) - 1)
	i := spread(x.Session) & mask
	for e.slots[i].age == e.age && e.slots[i].id != x.Session {
		i = (i + 1) & mask
	}
	if at := &e.slots[i]; at.age == e.age {
		if s := &e.sessions[at.idx]; s.addr == x.SrcAddr {
			return s, appendUint(b, uint64(at.idx))
		}
	}
	e.slots[i] = slot{x.Session, e.age, uint32(len(e.sessions))}
	e.sessions = append(e.sessions, session{id: x.Session, addr: x.SrcAddr, route: ^uint32(0)})
	if 2*len(e.sessions) > len(e.slots) {
		e.growSlots()
	}
	b = appendArray(b, 2)
	b = appendUint(b, x.Session)
	b = appendAddr(b, x.SrcAddr)
	return &e.sessions[len(e.sessions)-1], b
}

func (e *Encoder) growSlots() {
	e.slots = make([]slot, 2*len(e.slots))
	mask := uint64(len(e.slots) - 1)
	for n := range e.sessions {
		id := e.sessions[n].id
		i := spread(id) & mask
		for e.slots[i].age == e.age && e.slots[i].id != id {
			i = (i + 1) & mask
		}
		e.slots[i] = slot{id, e.age, uint32(n)} // the last definition of a session counts
	}
}

func spread(v uint64) uint64 { v *= 0x9e3779b97f4a7c15; return v ^ v>>32 }

// route appends the reference to x's route, or its definition when the page does not have it yet.
func (e *Encoder) route(b []byte, s *session, x *traffic.Exchange) []byte {
	r := route{x.Src, x.Dst, x.SrcLane, x.Color, x.Lane, x.LaneReason, x.DstAddr}
	if s.route < uint32(len(e.routes)) && e.routes[s.route] == r { // no hashing for the usual case
		return appendUint(b, uint64(s.route))
	}
	if n, ok := e.routeIdx[r]; ok {
		s.route = n
		return appendUint(b, uint64(n))
	}
	s.route = uint32(len(e.routes))
	e.routes = append(e.routes, r)
	e.routeIdx[r] = s.route
	b = appendArray(b, 7)
	b = appendString(b, r.src)
	b = appendString(b, r.dst)
	b = appendString(b, string(r.srcLane))
	b = appendString(b, string(r.color))
	b = appendString(b, string(r.lane))
	b = appendUint(b, uint64(r.reason))
	return appendAddr(b, r.addr)
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	var buf [32]byte
	v, _ := a.AppendBinary(buf[:0]) // cannot fail
	return appendBin(b, v)
}

// Bound is at least the number of bytes that x takes on a page.
func Bound(x *traffic.Exchange) int {
	var lens blobLens
	lens.of(x)
	return bound(x, &lens)
}

// blobLens are the sizes of an exchange's header blobs: adding them up is a quarter of encoding, and is done once.
type blobLens [4]int

func (l *blobLens) of(x *traffic.Exchange) {
	l[0], l[1] = blobLen(x.Request.Headers), blobLen(x.Request.Trailers)
	l[2], l[3] = blobLen(x.Response.Headers), blobLen(x.Response.Trailers)
}

func bound(x *traffic.Exchange, lens *blobLens) int {
	// 25 fields of at most 9 bytes and what definitions and lengths add.
	n := 384 + len(x.Src) + len(x.Dst) + len(x.SrcLane) + len(x.Color) + len(x.Lane) + len(x.Fault.Rule) + len(x.Fault.Kind)
	n += len(x.SrcAddr.Addr().Zone()) + len(x.DstAddr.Addr().Zone())
	n += len(x.Request.Method) + len(x.Request.Target) + len(x.Response.Reason)
	return n + lens[0] + lens[1] + lens[2] + lens[3] + len(x.Request.Body) + len(x.Response.Body)
}

const numFields = 25
