package injector

import (
	"fmt"

	"github.com/redlane/redlane/recorder/template"
	"github.com/redlane/redlane/traffic"
)

// Of what the dice are rolled for: Lease.Per.
const (
	PerRequest    = "request"    // each exchange has its own luck, named by its ID
	PerConnection = "connection" // all exchanges of a connection share one, named by its Session
)

// A scope is what of a lane's traffic on an edge a lease is about. Its zero value is all of it.
type scope struct {
	route  *template.Pattern
	method string
	header *HeaderMatch
}

func newScope(l *Lease) (s scope, err error) {
	if l.Route != "" {
		if s.route, err = template.Compile(l.Route); err != nil {
			return s, fmt.Errorf("route: %w", err)
		}
	}
	if s.method = l.Method; s.method != "" && !isToken(s.method) {
		return s, fmt.Errorf("method: not a method: %q", s.method)
	}
	if l.Header != (HeaderMatch{}) {
		if !l.Header.valid() {
			return s, fmt.Errorf("header: cannot be matched: %q", l.Header.String())
		}
		s.header = &l.Header
	}
	return s, nil
}

// matches reports whether x is in scope. The cheapest question comes first. An opaque stream has neither method
// nor headers and is in no scope that asks for one.
func (s *scope) matches(x *traffic.Exchange) bool {
	return (s.method == "" || string(x.Request.Method) == s.method) &&
		(s.header == nil || s.header.matches(&x.Request)) &&
		(s.route == nil || s.route.Match(x.Request.Target))
}
