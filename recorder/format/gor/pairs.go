package gor

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// A recordSource yields records nearly in the order of their time, as GoReplay writes them.
type recordSource interface {
	next() (record, error) // valid until the next call
	close() error
}

func (s *records) close() error { return nil }

// pairs is a Source: it joins requests and responses by id. Requests wait for their responses in the order of
// time; when they need more memory than maxWaiting, the oldest goes on without one.
//
//	records ─► request: into the heap │ response: to its request ─► oldest, once answered ─► Next
//	                    ▲             └► where that is not there yet: early ─┐
//	                    └────────────────────────────────────────────────────┘
type pairs struct {
	in      recordSource
	numbers *codec.Numbers
	notes   codec.Notes
	end     error  // what in ended with
	taken   uint64 // requests so far
	latest  int64  // time of a record so far

	waiting requests
	byID    map[string]*exchange
	held    int
	free    []*exchange
	early   early

	p      codec.Parser
	q      codec.Parser
	bodies [2][]byte
}

const (
	maxWaiting = 128 << 20 // bytes
	overhead   = 256       // of an exchange beside its bytes
	// slack is how many records may be out of order: GoReplay sorts what it reads in a window of 100.
	slack = 100
	// settle is how long a record may come after others of its time: GoReplay writes a message whose end it does not
	// see when nothing more of it has come for --input-raw-expire, which is 2 s unless given.
	settle = int64(3 * time.Second)
	// maxSettling is the memory in which that much is waited for, in bytes.
	maxSettling = 8 << 20
)

// An exchange is what is known of one.
type exchange struct {
	id           string
	start        int64
	order        uint64
	req, resp    []byte
	respAt, dur  int64
	answered     bool
	from         *codec.Options
	line         int
	lineOfAnswer int
}

func newPairs(name string, in recordSource) *pairs {
	p := &pairs{in: in, numbers: codec.NewNumbers(name), byID: make(map[string]*exchange)}
	if one, ok := in.(interface{ setBodiless(func([]byte) bool) }); ok {
		one.setBodiless(p.bodiless)
	}
	return p
}

func (s *records) setBodiless(f func(id []byte) bool) { s.bodiless = f }

// bodiless reports whether the request with this id was a HEAD.
func (p *pairs) bodiless(id []byte) bool {
	x := p.byID[string(id)]
	return x != nil && bytes.HasPrefix(x.req, []byte("HEAD "))
}

func (p *pairs) Next(ctx context.Context, x *traffic.Exchange) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e := p.ready(); e != nil {
			return p.yield(e, x)
		}
		if a := p.early.forsaken(p.end != nil); a != nil {
			return &recorder.Lost{Why: recorder.LostUnfinished, Err: fmt.Errorf("%s:%d: a response without its request", a.from.Name, a.line)}
		}
		if p.end != nil {
			return p.end
		}
		rec, err := p.in.next()
		switch {
		case isFatal(err):
			p.end = err
		case err != nil:
			return err
		default:
			p.take(rec)
		}
	}
}

// ready is the oldest exchange, when nothing can come any more that belongs to it or before it.
func (p *pairs) ready() *exchange {
	if len(p.waiting) == 0 {
		return nil
	}
	if e := p.waiting[0]; p.end != nil || p.held > maxWaiting || e.answered && len(p.waiting) > slack && (p.latest-e.start > settle || p.held > maxSettling) {
		heap.Pop(&p.waiting)
		if p.byID[e.id] == e {
			delete(p.byID, e.id)
		}
		p.held -= len(e.req) + len(e.resp) + overhead
		return e
	}
	return nil
}

// take puts rec where it belongs.
func (p *pairs) take(rec record) {
	p.latest = max(p.latest, rec.time)
	switch rec.kind {
	case request:
		e := p.fresh()
		*e = exchange{
			id: string(rec.id), start: rec.time, order: e.order, req: append(e.req[:0], rec.payload...), resp: e.resp[:0],
			from: rec.from, line: rec.line,
		}
		if old := p.byID[e.id]; old != nil {
			old.answered = true // the id is used again: no answer will come
		}
		p.byID[e.id] = e
		p.held += len(e.req) + overhead
		heap.Push(&p.waiting, e)
		if a := p.early.claim(e); a != nil {
			p.answer(e, *a)
		}
	case response:
		if e := p.byID[string(rec.id)]; e != nil {
			p.answer(e, rec)
		} else {
			p.early.keep(rec)
		}
	default:
		p.notes.Note("responses to replays passed over")
	}
}

func (p *pairs) answer(e *exchange, rec record) {
	delete(p.byID, e.id)
	e.resp, e.respAt, e.dur = append(e.resp, rec.payload...), rec.time, rec.dur
	e.answered, e.lineOfAnswer = true, rec.line
	p.held += len(e.resp)
}

func (p *pairs) fresh() (e *exchange) {
	if n := len(p.free); n > 0 {
		e, p.free = p.free[n-1], p.free[:n-1]
	} else {
		e = new(exchange)
	}
	p.taken++
	e.order = p.taken
	return e
}

// yield reads e's messages into x.
func (p *pairs) yield(e *exchange, x *traffic.Exchange) error {
	x.Reset()
	lost := func(line int, err error) error {
		return &recorder.Lost{Why: recorder.LostProtocol, Err: fmt.Errorf("%s:%d: %w", e.from.Name, line, err)}
	}
	if len(p.free) < 1000 && cap(e.req)+cap(e.resp) < 64<<10 {
		p.free = append(p.free, e) // x points into it until the next call, which is the first that may take it
	}
	x.Start, x.Session = e.start, sessionOf([]byte(e.id))
	n, whole, err := p.p.Request(e.req, &x.Request, p.bodies[0])
	switch {
	case err != nil:
		return lost(e.line, err)
	case n < len(e.req):
		return lost(e.line, errRest)
	case !whole:
		x.Flags |= traffic.FlagRequestCut
	}
	p.keep(0, x.Request.Body, e.req)
	p.numbers.Fill(x, []byte(e.id))
	if e.lineOfAnswer == 0 {
		return nil
	}
	n, whole, err = p.q.Response(e.resp, x.Request.Method, &x.Response, p.bodies[1])
	switch {
	case err != nil:
		return lost(e.lineOfAnswer, err)
	case x.Response.Status == 101 || string(x.Request.Method) == "CONNECT" && x.Response.Status < 300:
		x.Flags |= traffic.FlagUpgraded
	case n < len(e.resp):
		return lost(e.lineOfAnswer, errRest)
	case !whole:
		x.Flags |= traffic.FlagResponseCut
	}
	x.Flags |= p.q.Interims
	p.keep(1, x.Response.Body, e.resp)
	x.FirstByte = time.Duration(max(0, e.respAt-e.start))
	x.Latency = max(x.FirstByte, x.FirstByte+time.Duration(e.dur))
	return nil
}

var errRest = errors.New("bytes follow the end of the message")

// keep remembers the memory of a chunked body for the next one.
func (p *pairs) keep(i int, body, message []byte) {
	if len(body) > 0 && len(body) < 1<<20 && !within(body, message) {
		p.bodies[i] = body[:0]
	}
}

// within reports whether part is a part of whole's memory. A body in place ends where the message does.
func within(part, whole []byte) bool {
	return len(part) <= len(whole) && &part[len(part)-1] == &whole[len(whole)-1]
}

// Notes say what was passed over.
func (p *pairs) Notes() codec.Notes { return p.notes }

func (p *pairs) Close() error {
	p.end = io.EOF
	p.waiting, p.early = nil, early{}
	return p.in.close()
}

// requests is a heap: the earliest first.
type requests []*exchange

func (h requests) Len() int { return len(h) }
func (h requests) Less(i, j int) bool {
	return h[i].start < h[j].start || h[i].start == h[j].start && h[i].order < h[j].order
}
func (h requests) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *requests) Push(e any)   { *h = append(*h, e.(*exchange)) }
func (h *requests) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
