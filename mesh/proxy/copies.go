package proxy

import (
	"slices"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// Copies of a request go to the service beside it, or after it where it failed. Nobody waits for what is
// answered to them, and no filter sees them: they are load, not traffic of anybody's.
//
//	request ─► body is kept ─┬─► whole: all copies at once
//	                         └─► answered with 5xx, or not: one copy ─► 5xx or none: one more ─► …
//
// copying is what is kept of the request.
type copying struct {
	body  []byte
	large bool // too large to be kept: there will be no copies
	begun bool
}

// mostCopies bounds what one request can become.
const mostCopies = 1 << 10

// record keeps body bytes for copies.
func (h *harm) record(b []byte) {
	if h.copies == nil || h.large {
		return
	}
	if len(h.body)+len(b) > traffic.PatchMax {
		h.body, h.large = nil, true
		return
	}
	h.body = append(h.body, b...)
}

// copyRequest sends the copies that are sent beside the request, which is whole; or, where failed says that
// it has failed, those for that.
func (s *session) copyRequest(failed bool) {
	x, l := s.x, s.loop
	h := x.harm
	if h.copies == nil || h.copies.Failed != failed || h.begun || h.large || !x.whole || x.stream || x.asked.Upgrade || over(h.copies) || l.proxy.stopping.Load() {
		return
	}
	h.begun = true
	f := http1.Framing{}
	if x.asked.Kind != http1.NoBody {
		f = http1.Framing{Kind: http1.Length, Length: int64(len(h.body))}
	}
	request := append(http1.AppendRequest(nil, &x.Request, x.Edits, f), h.body...)
	eps := slices.DeleteFunc(slices.Clone(x.Endpoints), func(ep *traffic.Endpoint) bool {
		return x.service.lanes != nil && x.service.lanes.Escapes(&x.Exchange, ep)
	})
	n, each := min(h.copies.Copies, mostCopies), 1
	if failed {
		n, each = 1, n
	}
	for range n {
		c := &replica{loop: l, service: x.service, endpoints: eps, request: request, method: slices.Clone(x.Request.Method), left: each, grip: h.copies}
		c.begin()
	}
}

// A replica is one copy under way, or several that are sent one after the other. It borrows a connection.
type replica struct {
	loop            *loop
	service         *service
	endpoints       []*traffic.Endpoint
	request, method []byte
	left            int // to be sent, this one included
	grip            *traffic.Harm

	u       *upstream
	head    []byte // of the response
	scanned int
	reading bool // its body
	message traffic.Message
	framing http1.Framing
	body    http1.Body
}

// begin sends the next copy.
func (c *replica) begin() {
	l := c.loop
	ep := l.pick(c.endpoints)
	if ep == nil {
		return
	}
	l.stats.copies.Add(1)
	c.head, c.scanned, c.reading = c.head[:0], 0, false
	t := l.target(ep, c.service.origin)
	if c.u = t.take(); c.u == nil {
		if c.u = t.dial(c.service.timeouts.Connect, c.service.timeouts.Pool); c.u != nil {
			l.add(c.u.h, c)
		}
		return
	}
	l.add(c.u.h, c)
	c.send()
}

func (c *replica) opened() {
	c.u.open = true
	c.u.target.failures = 0
	c.loop.stats.connects.Add(1)
	c.send()
}

func (c *replica) send() {
	c.loop.Send(c.u.h, c.request)
	c.loop.Arm(c.u.h, c.service.timeouts.Response)
}

// data reads the response, as far as is needed to know where it ends.
func (c *replica) data(b []byte) {
	c.loop.Arm(c.u.h, c.service.timeouts.Response)
	limits := &c.loop.proxy.cfg.Limits
	for !c.reading {
		var n int
		var whole bool
		if c.head, n, c.scanned, whole = http1.CollectHead(c.head, b, c.scanned, limits); !whole {
			return
		}
		b = b[n:]
		n, err := http1.ParseResponse(c.head, c.method, &c.message, &c.framing, limits)
		if err != nil || n == 0 || c.framing.Kind == http1.Tunnel {
			c.over(0, false)
			return
		}
		c.head, c.scanned = c.head[:0], 0
		if c.reading = c.message.Status >= 200; c.reading {
			c.body.Init(c.framing, nil)
		}
	}
	for {
		_, n, done, err := c.body.Next(b)
		b = b[n:]
		switch {
		case err != nil:
			c.over(0, false)
			return
		case done:
			c.over(c.message.Status, len(b) == 0 && !c.framing.Close)
			return
		case len(b) == 0:
			return
		}
	}
}

func (c *replica) eof() {
	if c.reading {
		if done, _ := c.body.AtEOF(); done {
			c.over(c.message.Status, false)
			return
		}
	}
	c.over(0, false)
}

func (c *replica) writable() {}
func (c *replica) timer()    { c.over(0, false) }

func (c *replica) closed(error) {
	if !c.u.open {
		c.loop.stats.connectFailures.Add(1)
	}
	c.u = nil
	c.over(0, false)
}

// over ends a copy that was answered with status, or 0 where it was not. clean says that its connection can
// be used again.
func (c *replica) over(status int, clean bool) {
	if u := c.u; u != nil {
		c.loop.add(u.h, u)
		if clean {
			u.target.put(u, c.service.timeouts.Pool)
		} else {
			u.reset()
		}
		c.u = nil
	}
	if c.left--; c.left > 0 && (status == 0 || status >= 500) && !over(c.grip) && !c.loop.proxy.stopping.Load() {
		c.begin()
	}
}
