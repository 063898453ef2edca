package toxiproxy

import "github.com/redlane/redlane/traffic"

// Filter returns the filter that gives each connection of a proxy its shaper. It stands at the level of faults.
func (s *Server) Filter() traffic.Filter { return (*filter)(s) }

type filter Server

// Request implements traffic.Filter.
func (f *filter) Request(x *traffic.Exchange) traffic.Action {
	p := (*f.carried.Load())[x.Dst]
	if p == nil || !p.enabled { // it came while that changed
		return traffic.Action{Reset: true}
	}
	// There is nothing else to go to, so that it need not rest after a failure: the next connection tries again.
	for _, ep := range x.Endpoints {
		ep.DownUntil.Store(0)
	}
	return traffic.Action{Harm: &traffic.Harm{Shaper: &stream{server: (*Server)(f), proxy: p, x: x, number: p.opened.Add(1)}}}
}

// Response implements traffic.Filter: the bytes of a connection are counted when it is over, as in Toxiproxy.
func (f *filter) Response(x *traffic.Exchange) {
	if p := (*f.carried.Load())[x.Dst]; p != nil {
		p.received[traffic.Upstream].Add(uint64(x.Request.BodySize))
		p.received[traffic.Downstream].Add(uint64(x.Response.BodySize))
	}
}
