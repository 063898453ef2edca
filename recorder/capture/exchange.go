package capture

import (
	"encoding/binary"
	"time"

	"github.com/redlane/redlane/internal/invariant"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// An exchange is a traffic.Exchange under way, with all that its slices point into.
//
//	being read ─► whole ─┐
//	queued ─► answered ──┴─► over: told to the tap
type exchange struct {
	traffic.Exchange
	course
	next       *exchange // in the queue of its connection
	head, back []byte    // the heads of request and response: Request and Response point into them

	asking, answering http1.Body
}

// A course is what an exchange forgets when it is over.
type course struct {
	a             *Assembler
	cost          int64 // bytes of memory it is counted with
	asked, answer http1.Framing
	scanned       int // of head, then of back, for the end of a head

	ackAt   uint32 // what the client acknowledged when it began: its response begins there, in turn
	headEnd uint32 // the place behind the request's head
	fresh   bool   // it began a segment, and it was the client's turn

	parsed   bool // the request's head is whole
	reading  bool // it is c.cur
	queued   bool // its response is due
	answered bool // the head of its response is whole
	begun    bool // the tap was told
	replied  bool // its response is whole
	over     bool // and told of the end, or it was counted as missed
}

const (
	maxArena     = 16 << 10 // a larger head's memory is let go
	exchangeCost = 2 << 10  // bytes, of one with 16 header lines each way
)

func (c *conn) newExchange() *exchange {
	a := c.a
	var x *exchange
	if n := len(a.spare); n > 0 {
		x, a.spare = a.spare[n-1], a.spare[:n-1]
	} else {
		x = new(exchange)
		x.Weight = 1
	}
	x.a, x.reading = a, true
	x.charge(exchangeCost)
	x.Start = c.seg.time
	x.Session, x.Seq = c.session, c.seq
	x.SrcAddr, x.DstAddr, x.Dst = c.from, c.to, c.dst
	x.ackAt, x.fresh = c.seg.ack, c.seg.fresh && c.seg.turn
	c.cur = x
	return x
}

// since is how long after the start t is, at least a nanosecond: 0 means never.
func (x *exchange) since(t int64) time.Duration { return time.Duration(max(t-x.Start, 1)) }

// charge counts n more bytes of memory.
func (x *exchange) charge(n int) {
	x.cost += int64(n)
	x.a.memory += int64(n)
}

// free takes x back once it is neither being read nor waiting.
func (x *exchange) free() {
	if x.reading || x.queued || !x.over {
		return
	}
	a := x.a
	a.memory -= x.cost
	x.head, x.back = recycled(x.head), recycled(x.back)
	x.course, x.next = course{}, nil
	x.Reset()
	if len(a.spare) < maxSpare {
		a.spare = append(a.spare, x)
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

// identify fills in what the request's headers say about x.
func (x *exchange) identify() {
	if id := x.Request.Get("x-request-id"); len(id) > 0 {
		x.ID = traffic.RequestID(id)
	} else {
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:], x.Session)
		binary.LittleEndian.PutUint64(b[8:], x.Seq)
		x.ID = traffic.RequestID(b[:])
	}
	x.Trace = traffic.TraceID(x.Request.Get("traceparent"))
	if value, from := lanes.Carrier(x.Request.Headers, x.a.cfg.Header); from != lanes.FromNothing {
		x.Color = x.a.color(value)
	}
	if x.asked.LooseSpace {
		x.Flags |= traffic.FlagLooseSpace
	}
}

// color is a colour as lanes names it, without memory for one that was seen before.
func (a *Assembler) color(value []byte) traffic.Color {
	if color, ok := a.colors[string(value)]; ok {
		return color
	}
	color := lanes.ColorOf(value)
	if len(a.colors) < maxNames {
		a.colors[string(value)] = color
	}
	return color
}

// lose ends x in place of its response.
func (x *exchange) lose(why recorder.Reason) {
	if !x.over {
		x.over = true
		if x.begun {
			x.a.n.lost[why]++
			x.a.tap.Lose(&x.Exchange, why)
		} else {
			x.a.miss(why)
		}
	}
	x.free()
}

// end tells the tap that x is over as it should be, or as its Flags say.
func (x *exchange) end() {
	if !x.over {
		x.over = true
		x.a.n.whole++
		x.a.tap.Response(&x.Exchange)
	}
	x.free()
}

// miss counts an exchange of which too little was seen to begin it.
func (a *Assembler) miss(why recorder.Reason) {
	a.n.begun++
	a.n.lost[why]++
	a.tap.Miss(why, 1)
}

// cut counts payload that the capture cut off.
func (a *Assembler) cut(n int) {
	if n > 0 {
		a.discard(recorder.LostTruncated, n)
	}
}
