package proxy

import (
	"time"

	"github.com/redlane/redlane/internal/invariant"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// An exchange is a traffic.Exchange under way, with all that its slices point into. It belongs to one
// loop and is used again, so that a request allocates nothing.
type exchange struct {
	traffic.Exchange
	course
	head, back []byte // the heads of the request and the response, copied: Request and Response point into them

	body, replied http1.Body // of the request, and of the response
}

// A course is what an exchange forgets when it is over.
type course struct {
	session *session
	gen     *generation
	edge    *edge
	service *service
	begun   time.Time // Start, with its monotonic part

	// Filters.
	depth int            // how many Request halves were called
	held  traffic.Action // what is to be done at due
	due   time.Time
	hole  bool  // it is never to be answered
	harm  *harm // nil: none is done

	// The request.
	asked http1.Framing
	taken int  // bytes of body consumed, framing included: above 0 it cannot be sent again
	whole bool // the body is through, or there was none
	id    [16]byte

	// The way to the service.
	up       *upstream         // while there is one
	endpoint *traffic.Endpoint // the one chosen
	reached  bool              // and connected to
	attempts int               // connections that did not come about
	retried  bool              // sent again: now only over a fresh connection

	// The response.
	scanned  int // of back, for the end of the head
	interims int
	answered bool           // its final head went to the client
	answer   http1.Framing  // as the service framed it
	down     http1.BodyKind // as the client gets it

	// Tunnels.
	stream            bool          // there is no request: the exchange is the connection
	joined            bool          // the engine moves the bytes
	movedIn, movedOut uint64        // of those, how many have been counted
	quiet             time.Duration // for how long it has moved none
	tally             *streamCell   // of a stream that carries bytes
}

const (
	maxFree  = 1024     // kept for the next, of each kind and loop
	maxArena = 16 << 10 // a larger head's memory is let go
)

func (l *loop) newExchange(s *session) *exchange {
	var x *exchange
	if n := len(l.freeExchanges); n > 0 {
		x, l.freeExchanges = l.freeExchanges[n-1], l.freeExchanges[:n-1]
	} else {
		x = &exchange{Exchange: traffic.Exchange{Weight: 1}}
	}
	x.session, x.gen, x.edge, x.service, s.x = s, s.gen, s.edge, s.edge.service, x
	x.gen.live[l.number].n.Add(1)
	x.begun = s.first
	x.Start = s.first.UnixNano()
	x.Session, x.Seq = s.id, s.seq
	s.seq++
	x.SrcAddr, x.Src, x.SrcLane, x.Dst = s.from, s.edge.caller, s.edge.lane, x.service.name
	return x
}

func (l *loop) freeExchange(x *exchange) {
	x.gen.live[l.number].n.Add(-1)
	x.head, x.back = recycled(x.head), recycled(x.back)
	x.course = course{}
	x.Reset()
	if len(l.freeExchanges) < maxFree {
		l.freeExchanges = append(l.freeExchanges, x)
	}
}

// recycled is an arena emptied for the next head.
func recycled(b []byte) []byte {
	invariant.Poison(b)
	if cap(b) > maxArena {
		return nil
	}
	return b[:0]
}

// isHead reports whether the response has no body because HEAD was asked.
func (x *exchange) isHead() bool { return string(x.Request.Method) == "HEAD" }

// idempotent methods may be sent again when nothing is known to have come of them (RFC 9110 §9.2.2).
func (x *exchange) idempotent() bool {
	switch string(x.Request.Method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// since is how long after the start now is, at least a nanosecond: 0 means never.
func (x *exchange) since(now time.Time) time.Duration { return max(now.Sub(x.begun), 1) }
