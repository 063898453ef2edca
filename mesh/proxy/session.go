package proxy

import (
	"net/netip"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/traffic"
)

// A session is a client's connection. Its exchanges come one after the other: the bytes of a pipelined
// request wait until the one before it has been answered.
//
//	        ┌──────────────────────────────────────────────────────────┐
//	        ▼                                                          │
//	reading ─► holding ─► connecting ─► sending ─► awaiting ─► flushing ┘
//	   │          └─ reply ──────────────────────────────────────▲  └─► lingering ─► gone
//	   └─ refused ────────────────────────────────────────── 101 ─► tunnelling ─────►
type session struct {
	loop *loop
	h    engine.Handle
	from netip.AddrPort
	to   netip.AddrPort // where it was going
	tag  int
	edge *edge
	gen  *generation // edge belongs to it

	id, seq uint64
	phase   phase
	x       *exchange // in every phase but reading, lingering and gone

	in      []byte    // bytes not used yet; outside of run the same as held
	held    []byte    // what in is kept in between two events
	scanned int       // of in, for the end of a head
	first   time.Time // when the first byte of in had been read
	linger  int       // bytes thrown away so far

	running bool // in run: what wants to go on returns instead
	ended   bool // the client sends no more
	leaving bool // to be closed as soon as the client can be told so with a response
	last    bool // close after the exchange: the client has been told, or cannot be
	stalled bool // the endpoint does not take the request body: read no more of it
	paused  bool // as the driver was told
}

type phase uint8

const (
	reading    phase = iota // a request head, or nothing yet
	holding                 // Action.Wait
	connecting              // no connection to an endpoint yet
	sending                 // the request body passes; a response may already do so too
	awaiting                // the request is through, the response is not
	flushing                // the response is through, but for what the kernel has not taken
	tunnelling
	lingering // answered and closing: what still comes is thrown away
	gone
)

// pipelineMax is how much of what follows the current request is kept before reading stops. What one read
// brings is kept whole, so the true limit is this and one read.
const pipelineMax = 32 << 10

func (l *loop) newSession(h engine.Handle, tag int, e *edge, from, to netip.AddrPort) *session {
	var s *session
	if n := len(l.freeSessions); n > 0 {
		s, l.freeSessions = l.freeSessions[n-1], l.freeSessions[:n-1]
	} else {
		s = new(session)
	}
	*s = session{loop: l, h: h, from: from, to: to, tag: tag, edge: e, gen: l.gen, id: l.sessionOf(h), leaving: l.draining}
	l.sessions++
	l.stats.accepted.Add(1)
	l.stats.sessions.Add(1)
	s.arm()
	return s
}

// free gives s back. Its connection is closed or about to be, and no event reaches it any more.
func (s *session) free() {
	l := s.loop
	l.drop(s.h)
	s.phase, s.x, s.in, s.held = gone, nil, nil, nil
	l.sessions--
	l.stats.sessions.Add(-1)
	if !s.running {
		s.recycle()
	}
	l.tellDrained()
}

func (s *session) recycle() {
	if l := s.loop; len(l.freeSessions) < maxFree {
		l.freeSessions = append(l.freeSessions, s)
	}
}

func (s *session) opened() {}

func (s *session) data(b []byte) {
	switch {
	case s.phase == lingering:
		s.discard(len(b))
		return
	case s.x != nil && s.x.harm != nil && s.paced():
		s.come(b)
		return
	case s.phase == tunnelling && len(s.in) == 0:
		s.relay(b)
		return
	}
	s.add(b)
	s.run()
}

// add puts b behind what is there.
func (s *session) add(b []byte) {
	if len(s.in) == 0 {
		s.first = s.loop.Now()
		s.in = b
		return
	}
	s.keep()
	s.held = append(s.held, b...)
	s.in = s.held
}

// run goes as far as the bytes at hand and the other side allow.
func (s *session) run() {
	if s.running || s.phase == gone {
		return
	}
	s.running = true
	for s.step() {
	}
	s.running = false
	if s.phase == gone {
		s.recycle()
		return
	}
	s.keep()
	if s.ended {
		s.atEOF()
	}
	s.feel()
}

// step does one thing and reports whether there may be another to do.
func (s *session) step() bool {
	switch s.phase {
	case reading:
		return s.readHead()
	case sending:
		if s.x.harm != nil && s.paced() {
			return s.passUp()
		}
		return s.readBody()
	case holding:
		if h := s.x.held.Harm; s.x.hole && h.Grip == nil {
			s.in = nil // for ever: nobody will want it
		}
	case tunnelling:
		if s.x.harm != nil && s.paced() {
			return s.passUp()
		}
		if len(s.in) > 0 {
			b := s.in
			s.in = nil
			s.relay(b)
		}
	case lingering:
		n := len(s.in)
		s.in = nil
		s.discard(n)
	}
	return false
}

// keep copies what was not used, because the bytes of an event are the driver's.
func (s *session) keep() {
	if len(s.in) == 0 {
		if s.in = nil; cap(s.held) > keepHeld {
			s.held = nil
		}
		s.held = s.held[:0]
		return
	}
	s.held = append(s.held[:0], s.in...)
	s.in = s.held
}

// keepHeld is the buffer a connection may keep between two requests: enough for a head that came in parts.
const keepHeld = 4 << 10

// feel makes the client feel back-pressure, or relieves it.
func (s *session) feel() {
	if s.phase == gone {
		return
	}
	pause := s.stalled || s.phase != reading && len(s.held) > pipelineMax && len(s.held) > s.room()
	if pause == s.paused {
		return
	}
	if s.paused = pause; pause {
		s.loop.Pause(s.h)
	} else {
		s.loop.Resume(s.h)
	}
}

// room is how much may be kept of what the client sends.
func (s *session) room() int {
	if s.x != nil && s.x.harm != nil && s.paced() {
		return s.x.harm.up.room()
	}
	return pipelineMax
}

// readHead begins an exchange when a whole head has come.
func (s *session) readHead() bool {
	if len(s.in) == 0 {
		return false
	}
	l := s.loop
	if s.scanned == 0 && surelyWhole(s.in) {
		s.begin(len(s.in))
		return true
	}
	limit := l.proxy.cfg.Limits.Head
	end, next := http1.HeadEnd(s.in, s.scanned)
	if end == 0 && len(s.in) <= limit {
		if s.scanned == 0 {
			l.Arm(s.h, s.edge.service.timeouts.Header)
			// What can never become a request, TLS for one, is told so at once and not after the timeout.
			if err := l.couldBeRequest(s.in); err != nil {
				s.refuse(err)
				return true
			}
		}
		s.scanned = next
		return false
	}
	if end == 0 {
		end = limit + 1 // too long, which is for the parser to say
	}
	s.scanned = 0
	s.begin(end)
	return true
}

// surelyWhole reports whether there is no need to look for the end of a head: what ends in an empty line
// and does not begin with one holds at least one head, which is how nearly all requests without a body
// come. Looking would cost as much as parsing does.
func surelyWhole(b []byte) bool {
	n := len(b)
	return 4 < n && n <= wholeMax && b[0] > '\r' && string(b[n-4:]) == "\r\n\r\n"
}

// wholeMax bounds the copy of what may turn out to lie behind the head: pipelined requests, a body.
const wholeMax = 1 << 10

// begin parses the head at the front of in, which is no longer than end, and starts the exchange it asks for.
func (s *session) begin(end int) {
	l := s.loop
	l.adopt()
	x := l.newExchange(s)
	x.head = append(x.head[:0], s.in[:end]...)
	n, err := http1.ParseRequest(x.head, &x.Request, &x.asked, &l.proxy.cfg.Limits)
	if err != nil || n == 0 {
		s.refuse(err)
		return
	}
	s.in = s.in[n:]
	s.last = s.last || x.asked.Close
	x.body.Init(x.asked, &l.proxy.cfg.Limits)
	x.identify()
	l.Arm(s.h, 0)
	s.decide()
}

// writable says that the client has taken everything.
func (s *session) writable() {
	switch {
	case s.phase == flushing && s.x.harm != nil && s.x.harm.resets: // its timer looks
	case s.phase == flushing:
		s.finish()
	case s.x != nil && s.x.up != nil:
		s.x.up.unpause()
		s.arm()
		if s.x.harm != nil && s.paced() {
			s.move()
		}
	}
}

// eof notes that the client sends no more. It may still read: a request that came whole is answered.
func (s *session) eof() {
	s.ended = true
	s.run()
}

// atEOF judges what is left when no more comes.
func (s *session) atEOF() {
	switch s.phase {
	case reading:
		if s.partway() {
			s.loop.stats.closings[closedPartway].Add(1)
		}
		s.close()
	case sending:
		if !s.stalled && !s.holdsUp() {
			s.fail(400, "the request body was cut short", traffic.FlagDownstreamClosed)
		}
	case holding:
		if s.x.hole {
			s.x.Flags |= traffic.FlagDownstreamClosed
			s.end()
			s.close()
		}
	case tunnelling:
		if s.holdsUp() {
			s.rearm(s.x, s.x.harm)
		} else {
			s.tunnelEOF()
		}
	case lingering:
		s.close()
	}
}

// closed ends what was going on.
func (s *session) closed(err error) {
	if s.x != nil && s.x.joined {
		s.unjoined(err, traffic.FlagDownstreamClosed)
		return
	}
	if s.partway() {
		s.loop.stats.closings[closedPartway].Add(1)
	}
	if s.x != nil {
		flag := traffic.FlagDownstreamClosed
		if s.loop.proxy.stopping.Load() {
			flag = traffic.FlagDraining
		}
		if s.phase == tunnelling && !s.x.stream { // the usual way for a browser to leave
			flag &= traffic.FlagDraining
		}
		s.x.Flags |= flag
		s.dropUpstream()
		s.end()
	}
	s.free()
}

// close and reset end the connection itself; nothing may be going on any more.
func (s *session) close() {
	s.loop.Close(s.h)
	s.free()
}

func (s *session) reset() {
	s.loop.Reset(s.h)
	s.free()
}

// adopt takes the session to a new configuration. Where its listener is gone, so will it be; where it speaks
// another protocol now, it ends after the exchange.
func (s *session) adopt(g *generation) {
	s.gen = g
	if e := g.edge(s.tag, s.to); e != nil && e.service.opaque == s.edge.service.opaque {
		s.edge = e
		return
	}
	if e := g.gone[s.tag]; e != nil {
		s.edge = e
		s.leave()
		return
	}
	s.last = true
	if s.phase == reading && len(s.in) == 0 {
		s.close()
	}
}

// leave ends the session without losing a request: a client that has been promised a connection may be
// sending on it right now, so it is kept until it can be told with a response, or for as long as patience says.
func (s *session) leave() {
	s.leaving = true
	if s.phase == reading && len(s.in) == 0 {
		s.arm()
	}
}
