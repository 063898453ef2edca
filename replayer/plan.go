package replayer

import (
	"strconv"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/traffic"
)

// Reasons why an exchange of the recording is not sent, or not answered. They are keys of the ledger.
const (
	dropNoRequest   = "no-request"  // the recording holds no whole head: nothing was understood
	dropUpgraded    = "upgraded"    // became a tunnel; what went through it was not recorded
	dropRequestCut  = "request-cut" // the recording lacks part of the body
	dropBadRequest  = "bad-request" // head and body contradict each other; it cannot be framed again
	DropInterrupted = "interrupted" // not sent, because the run was stopped
	dropLaneLost    = "lane-lost"   // not sent, because the target confirmed its lane no more
	dropUnsent      = "unsent"      // not sent, because its session was still busy when the run ended
	dropUnanswered  = "unanswered"  // sent, and not answered when the run ended
	dropOverload    = "overload"    // not sent, because too much was waiting (Overload.Drop)
	dropConnect     = "connect"
	dropReset       = "reset"
	dropTimeout     = "timeout"
	dropProtocol    = "protocol"
)

// A planner turns recorded exchanges into items: the bytes as recorded, except what is meant to change.
//
//	x-lane         the lane, once, whatever was recorded; taken out when there is none
//	baggage        its member lane, when there is baggage
//	x-stress       Config.RunID, once, whatever was recorded: marks it as a replay's
//	x-request-id   from the seed and the exchange, so that the same run has the same luck
//	host           Config.Host, when set
//
// It is pure and has memory of its own: one goroutine uses it.
type planner struct {
	seed    uint64
	lane    traffic.Color
	routes  *routes
	value   []byte // lane as the value of a header; nil removes it
	stress  []byte // the value of the stress tag; nil removes it
	host    []byte
	edits   []traffic.Header
	replay  http1.Replay
	id      [36]byte
	baggage []byte
	clone   int              // of the session that is being planned
	rewrite *rewrite.Planner // nil: nothing is rewritten

	// What look found.
	length        []byte // the first Content-Length
	chunked, bags bool   // there is a Transfer-Encoding, a Baggage
	room          int    // about what the request takes on the wire, so that its buffer is made once
}

var (
	laneName    = []byte("x-lane")
	stressName  = []byte(lanes.StressHeader)
	idName      = []byte("x-request-id")
	baggageName = []byte("baggage")
	hostName    = []byte("Host")
)

func newPlanner(cfg *Config, r *routes) *planner {
	p := &planner{seed: cfg.Seed, lane: cfg.Lane, routes: r, replay: http1.Replay{Limits: limits}}
	if cfg.Lane != "" {
		p.value = []byte(cfg.Lane)
	}
	if cfg.RunID != "" {
		p.stress = []byte(cfg.RunID)
	}
	if cfg.Host != "" {
		p.host = []byte(cfg.Host)
	}
	if cfg.Rewrite != nil {
		p.rewrite = cfg.Rewrite.NewPlanner()
	}
	return p
}

// wantsResponses reports whether plan looks at more of what came back than its status.
func (p *planner) wantsResponses() bool { return p.rewrite != nil }

// plan fills it from x, or says why x cannot be sent.
func (p *planner) plan(x *traffic.Exchange, it *item) (reason string) {
	m := &x.Request
	switch {
	case len(m.Method) == 0 || len(m.Target) == 0:
		return dropNoRequest
	case x.Flags.Has(traffic.FlagUpgraded) || string(m.Method) == "CONNECT":
		return dropUpgraded
	}
	p.look(m)
	if p.cut(x) {
		return dropRequestCut
	}
	if cap(it.wire) < p.room {
		it.wire = make([]byte, 0, (p.room+127)&^127) // the next one to use it may be a little larger
	}
	wire, framing, err := p.replay.Append(it.wire[:0], m, p.change(x))
	if it.wire = wire; err != nil {
		return dropBadRequest
	}
	it.method = it.wire[:len(m.Method)]
	it.session, it.seq = x.Session, x.Seq
	it.start, it.end = x.Start, x.Start+int64(x.Latency)
	it.status = x.Response.Status
	it.closes = framing.Close
	it.repeatable = repeatable(m.Method)
	it.sent = unsent
	it.carry = p.rewrite.Plan(it.carry, x, p.clone)
	return ""
}

// look goes through the headers once, for all that want to know.
func (p *planner) look(m *traffic.Message) {
	p.length, p.chunked, p.bags = nil, false, false
	n := 192 + len(m.Method) + len(m.Target) + len(m.Body) // 192: start line, our own headers, chunk framing
	for i := range m.Headers {
		h := &m.Headers[i]
		n += len(h.Name) + len(h.Value) + len(": \r\n")
		switch len(h.Name) {
		case len("baggage"):
			p.bags = p.bags || traffic.EqualFold(h.Name, "baggage")
		case len("content-length"):
			if p.length == nil && traffic.EqualFold(h.Name, "content-length") {
				p.length = h.Value
			}
		case len("transfer-encoding"):
			p.chunked = p.chunked || traffic.EqualFold(h.Name, "transfer-encoding")
		}
	}
	p.room = n
}

// change lists what the request says differently from its recording, valid until the next call.
func (p *planner) change(x *traffic.Exchange) []traffic.Header {
	p.edits = append(p.edits[:0],
		traffic.Header{Name: laneName, Value: p.value},
		traffic.Header{Name: stressName, Value: p.stress},
		traffic.Header{Name: idName, Value: requestID(p.id[:], p.seed, x)},
	)
	if p.bags {
		p.baggage = lanes.AppendBaggage(p.baggage[:0], p.lane, x.Request.Headers)
		value := p.baggage
		if len(value) == 0 {
			value = nil
		}
		p.edits = append(p.edits, traffic.Header{Name: baggageName, Value: value})
	}
	if p.host != nil {
		p.edits = append(p.edits, traffic.Header{Name: hostName, Value: p.host})
	}
	return p.edits
}

// requestID writes to dst, of 36 bytes, a name for x that is the same in every replay with this seed.
func requestID(dst []byte, seed uint64, x *traffic.Exchange) []byte {
	hi := mix(seed ^ mix(x.ID))
	lo := mix(hi ^ mix(x.Session^mix(x.Seq)))
	return chance.AppendUUID(dst[:0], hi, lo)
}

// cut reports whether the recording lacks part of the request's body: because it was not kept, or because
// the client left before it had sent it.
func (p *planner) cut(x *traffic.Exchange) bool {
	m := &x.Request
	switch {
	case x.Flags.Has(traffic.FlagRequestCut) || int64(len(m.Body)) != m.BodySize:
		return true
	case p.chunked: // the end of a chunked body is not on tape
		left := x.Flags.Has(traffic.FlagDownstreamClosed | traffic.FlagDownstreamProtocol | traffic.FlagDownstreamTimeout)
		return left && x.Response.Status == 0
	case p.length != nil && !x.Flags.Has(traffic.FlagRedacted):
		n, err := strconv.ParseInt(string(p.length), 10, 64)
		return err == nil && n != m.BodySize
	}
	return false
}

// repeatable reports whether a method is idempotent (RFC 9110 §9.2.2).
func repeatable(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}
