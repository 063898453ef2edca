package replayer

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/redlane/redlane/internal/wire/http1"
	"github.com/redlane/redlane/lanes"
	"github.com/redlane/redlane/traffic"
)

// Reasons why an exchange of the recording is not sent, or not answered. They are keys of the ledger.
const (
	dropNoRequest   = "no-request"  // the recording holds no whole head: nothing was understood
	dropUpgraded    = "upgraded"    // became a tunnel; what went through it was not recorded
	dropRequestCut  = "request-cut" // the recording lacks part of the body
	dropBadRequest  = "bad-request" // head and body contradict each other; it cannot be framed again
	dropInterrupted = "interrupted" // not sent, because the run was stopped
	dropUnsent      = "unsent"      // not sent, because its session was still busy when the run ended
	dropUnanswered  = "unanswered"  // sent, and not answered when the run ended
	dropConnect     = "connect"
	dropReset       = "reset"
	dropTimeout     = "timeout"
	dropProtocol    = "protocol"
)

// A planner turns recorded exchanges into items: the bytes as recorded, except what is meant to change.
//
//	x-lane         the lane, once, whatever was recorded; taken out when there is none
//	baggage        its member lane, when there is baggage
//	x-request-id   from the seed and the exchange, so that the same run has the same luck
//	host           Config.Host, when set
//
// It is pure and has memory of its own: one goroutine uses it.
type planner struct {
	seed    uint64
	lane    traffic.Color
	value   []byte // lane as the value of a header; nil removes it
	host    []byte
	edits   []traffic.Header
	parsed  traffic.Message
	framing http1.Framing
	id      [36]byte
	baggage []byte
}

var (
	laneName    = []byte("x-lane")
	idName      = []byte("x-request-id")
	baggageName = []byte("baggage")
	hostName    = []byte("Host")
)

func newPlanner(cfg *Config) *planner {
	p := &planner{seed: cfg.Seed, lane: cfg.Lane}
	if cfg.Lane != "" {
		p.value = []byte(cfg.Lane)
	}
	if cfg.Host != "" {
		p.host = []byte(cfg.Host)
	}
	return p
}

// plan fills it from x, or says why x cannot be sent.
func (p *planner) plan(x *traffic.Exchange, it *item) (reason string) {
	m := &x.Request
	switch {
	case len(m.Method) == 0 || len(m.Target) == 0:
		return dropNoRequest
	case x.Flags.Has(traffic.FlagUpgraded) || string(m.Method) == "CONNECT":
		return dropUpgraded
	case cut(x):
		return dropRequestCut
	}
	if n := roomFor(m); cap(it.wire) < n {
		it.wire = make([]byte, 0, n)
	}
	var err error
	if it.wire, err = http1.AppendRecorded(it.wire[:0], m, p.change(x)); err != nil {
		return dropBadRequest
	}
	// Read it back: it must be one request to others too, and its framing says whether it ends the connection.
	p.parsed.Reset()
	if n, err := http1.ParseRequest(it.wire, &p.parsed, &p.framing, &limits); err != nil || n == 0 {
		return dropBadRequest
	}
	it.method = it.wire[:len(m.Method)]
	it.session, it.seq = x.Session, x.Seq
	it.start, it.end = x.Start, x.Start+int64(x.Latency)
	it.status = x.Response.Status
	it.closes = p.framing.Close
	it.repeatable = repeatable(m.Method)
	it.sent = unsent
	return ""
}

// roomFor is about what m takes on the wire, so that its buffer is made once.
func roomFor(m *traffic.Message) int {
	n := 192 + len(m.Method) + len(m.Target) + len(m.Body) // 192: start line, our own headers, chunk framing
	for i := range m.Headers {
		n += len(m.Headers[i].Name) + len(m.Headers[i].Value) + len(": \r\n")
	}
	return n
}

// change lists what the request says differently from its recording, valid until the next call.
func (p *planner) change(x *traffic.Exchange) []traffic.Header {
	p.edits = append(p.edits[:0],
		traffic.Header{Name: laneName, Value: p.value},
		traffic.Header{Name: idName, Value: requestID(p.id[:], p.seed, x)},
	)
	if x.Request.Get("baggage") != nil {
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

// requestID writes to dst, of 36 bytes, a name for x that is the same in every replay with this seed: a
// UUID of version 8 (RFC 9562), because many services expect the form.
func requestID(dst []byte, seed uint64, x *traffic.Exchange) []byte {
	hi := mix(seed ^ mix(x.ID))
	lo := mix(hi ^ mix(x.Session^mix(x.Seq)))
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	from := 0
	for at, n := range [5]int{0: 4, 1: 2, 2: 2, 3: 2, 4: 6} {
		to := [5]int{0, 9, 14, 19, 24}[at]
		hex.Encode(dst[to:], b[from:from+n])
		if from += n; at < 4 {
			dst[to+2*n] = '-'
		}
	}
	return dst[:36]
}

// cut reports whether the recording lacks part of the request's body: because it was not kept, or because
// the client left before it had sent it.
func cut(x *traffic.Exchange) bool {
	m := &x.Request
	switch length := m.Get("content-length"); {
	case x.Flags.Has(traffic.FlagRequestCut) || int64(len(m.Body)) != m.BodySize:
		return true
	case m.Get("transfer-encoding") != nil: // the end of a chunked body is not on tape
		left := x.Flags.Has(traffic.FlagDownstreamClosed | traffic.FlagDownstreamProtocol | traffic.FlagDownstreamTimeout)
		return left && x.Response.Status == 0
	case length != nil && !x.Flags.Has(traffic.FlagRedacted):
		n, err := strconv.ParseInt(string(length), 10, 64)
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
