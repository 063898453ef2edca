package proxy

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/traffic"
)

// Whoever is about to send load asks the port that would get it whether a lane is there (package
// lanes/ticket). The proxy answers itself, whatever it is configured for: no filter, no recording and no
// service ever sees the question.
//
//	OPTIONS * ─► decide ─ one comparison ─► challenged ─► 200 and a ticket, 403 and why not, or 429

// atServer reports whether the request is for the server and for no resource, `*`: only then is there anything
// more to look at. All other requests pay for this comparison and nothing else.
func (x *exchange) atServer() bool { return len(x.Request.Target) == 1 && x.Request.Target[0] == '*' }

// challenged answers a challenge, and reports whether it was one. The method is OPTIONS: the parser takes no
// other with this target.
func (s *session) challenged() bool {
	x := s.x
	value := x.Request.Get(ticket.Header)
	if value == nil {
		return false
	}
	x.LaneReason = traffic.LaneChallenge
	p := s.loop.proxy
	now := s.loop.Now()
	if !p.tickets.allow(now) {
		p.tickets.limited.Add(1)
		s.reply(429, ticket.Refused+"too many challenges at once, try again\n", 0)
		return true
	}
	text, why := x.confirm(value, now)
	if why != "" {
		p.tickets.refused.Add(1)
		s.reply(403, ticket.Refused+why+"\n", 0)
		return true
	}
	p.tickets.issued.Add(1)
	s.reply(200, text+"\n", 0)
	return true
}

// confirm is a ticket for the service that is called, or the reason why it gets none.
func (x *exchange) confirm(value []byte, now time.Time) (text, why string) {
	c, err := ticket.ParseChallenge(string(value))
	if err != nil {
		return "", err.Error()
	}
	name := x.service.name
	issuer := x.gen.tickets
	switch {
	case issuer == nil:
		return "", "this proxy has no ticket key; add tickets: {key: FILE} to its configuration"
	case x.edge.lane != "" && x.edge.lane != c.Lane:
		return "", "this port is for callers in lane " + string(x.edge.lane)
	}
	rule, ok := x.gen.route.Table().Isolation(name, c.Lane)
	if !ok {
		return "", "service " + name + " has no instance in lane " + string(c.Lane)
	}
	return issuer.Issue(c, name, rule, now).String(), ""
}

// newIssuer makes what signs the tickets of c, which may be nothing.
func newIssuer(c *mesh.Config) (*ticket.Issuer, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "" // only for people
	}
	return c.Tickets.Issuer(host)
}

// A challenge costs a signature, about 50 µs, so whoever asks without end must not starve the traffic: at
// the sustained rate that is half a percent of one core.
const (
	challengeEvery = time.Second / 100 // sustained, over all loops
	challengeBurst = 100               // at once, after a quiet time
)

// tickets limits and counts what is answered.
type tickets struct {
	next                     atomic.Int64 // when the last one let in would be due at the sustained rate, in Unix nanoseconds
	issued, refused, limited atomic.Uint64
}

func (t *tickets) allow(now time.Time) bool {
	at := now.UnixNano()
	for {
		next := t.next.Load()
		if next-at > int64(challengeBurst-1)*int64(challengeEvery) {
			return false
		}
		if t.next.CompareAndSwap(next, max(next, at)+int64(challengeEvery)) {
			return true
		}
	}
}
