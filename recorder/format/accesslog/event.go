package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// An event is what one line says.
type event struct {
	timed bool
	time  int64 // Unix nanoseconds
	atEnd bool  // time is when the exchange was over, as nginx has it
	exact int   // how exact time is: the number of its digits behind the second

	method, target, args []byte
	version              string
	status               int
	sent, received       int64 // bytes of body; -1 unknown
	latency, first       time.Duration
	host, secondHost     []byte
	request, response    []traffic.Header
	id                   []byte
	session, seq         uint64
	placed               bool // seq is known
	client, endpoint     netip.AddrPort
	clientPort           uint16
	service, caller      string
	callerLane           string
	color, lane          string
	reason               traffic.LaneReason
	flags                traffic.Flags
	trace                [16]byte
	body                 []byte
}

func (e *event) reset() {
	*e = event{sent: -1, received: -1, request: e.request[:0], response: e.response[:0]}
}

var (
	errNoTime    = errors.New("it has no time")
	errNoRequest = errors.New("it has no request")
)

// whole reports what an exchange lacks.
func (e *event) whole() error {
	switch {
	case !e.timed:
		return errNoTime
	case len(e.method) == 0 || len(e.target) == 0:
		return errNoRequest
	}
	return nil
}

// into makes an exchange of e. Its bytes are e's and the line's.
func (e *event) into(x *traffic.Exchange) {
	x.Reset()
	x.Start, x.Latency, x.FirstByte = e.time, e.latency, e.first
	if e.atEnd {
		x.Start -= int64(e.latency)
	}
	x.Session, x.Seq, x.SrcAddr, x.DstAddr = e.session, e.seq, e.client, e.endpoint
	if e.clientPort != 0 && e.client.Port() == 0 {
		x.SrcAddr = netip.AddrPortFrom(e.client.Addr(), e.clientPort)
	}
	x.Dst, x.Src, x.SrcLane = e.service, e.caller, traffic.Color(e.callerLane)
	x.Color, x.Lane, x.LaneReason, x.Flags, x.Trace = traffic.Color(e.color), traffic.Color(e.lane), e.reason, e.flags, e.trace
	q, a := &x.Request, &x.Response
	q.Method, q.Target = e.method, e.target
	if len(e.args) > 0 {
		q.Target = append(append(append([]byte(nil), e.target...), '?'), e.args...)
	}
	q.Minor = 1
	if e.version == "HTTP/1.0" {
		q.Minor = 0
	}
	host := e.host
	if host == nil {
		host = e.secondHost
	}
	if host != nil {
		q.Headers = append(q.Headers, traffic.Header{Name: []byte("Host"), Value: host})
	}
	q.Headers = append(q.Headers, e.request...)
	q.Body, q.BodySize = e.body, max(e.received, int64(len(e.body)))
	if n, err := strconv.ParseInt(string(q.Get("content-length")), 10, 64); err == nil {
		q.BodySize = max(q.BodySize, n)
	}
	if q.BodySize > int64(len(q.Body)) {
		x.Flags |= traffic.FlagRequestCut
	}
	a.Status = e.status
	if e.status == 0 {
		return
	}
	a.Minor = q.Minor
	a.Headers = append(a.Headers, e.response...)
	if a.BodySize = max(e.sent, 0); a.BodySize > 0 {
		x.Flags |= traffic.FlagResponseCut
	}
}

// mayHaveBody reports whether the log leaves open that there was one.
func (e *event) mayHaveBody() bool {
	switch string(e.method) {
	case "POST", "PUT", "PATCH":
		return e.received < 0 && len(e.body) == 0
	}
	return false
}

// requestLine takes a request line apart.
func (e *event) requestLine(v []byte) error {
	method, rest, ok := bytes.Cut(v, []byte(" "))
	target, version, _ := cutLast(rest, ' ')
	if !ok || len(method) == 0 || len(target) == 0 || bytes.IndexFunc(target, func(c rune) bool { return c <= ' ' }) >= 0 {
		return fmt.Errorf("%.100q is no request line", v)
	}
	e.method, e.target, e.version = method, target, string(version)
	return nil
}

// cutLast splits at the last sep; without one, all of b comes before it.
func cutLast(b []byte, sep byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(b, sep)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

// setTime takes a time unless a more exact one is there.
func (e *event) setTime(t time.Time, digits int, atEnd bool) error {
	ns := t.UnixNano()
	if !time.Unix(0, ns).Equal(t) {
		return errors.New("the time is out of range")
	}
	if !e.timed || digits > e.exact {
		e.timed, e.time, e.exact, e.atEnd = true, ns, digits, atEnd
	}
	return nil
}

// seconds reads a decimal number of units, exactly: "1763683200.123".
func seconds(v []byte, unit time.Duration) (time.Duration, error) {
	whole, fraction, _ := strings.Cut(string(v), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 || n > int64((1<<63-1)/unit)-1 {
		return 0, fmt.Errorf("%.40q is no time", v)
	}
	d := time.Duration(n) * unit
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%.40q is no time", v)
		}
		unit /= 10
		d += time.Duration(c-'0') * unit
	}
	return d, nil
}

// address reads an address with or without a port. What is none, such as unix:, is left out.
func address(v []byte) netip.AddrPort {
	if a, err := netip.ParseAddrPort(string(v)); err == nil {
		return a
	}
	a, err := netip.ParseAddr(strings.Trim(string(v), "[]"))
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, 0)
}
