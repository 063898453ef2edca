package proxy_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// Whatever is done to exchanges, and whoever leaves when: each ends exactly once, everything is given back, and
// nothing is sent to who has gone.
func TestAnyHarmAnyOrder(t *testing.T) {
	f := func(seed uint64) {
		t.Helper()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			a := &anyHarm{r: rand.New(rand.NewPCG(seed, 4)), silent: make(map[*fakeConn]bool)}
			edits := []edit{slot(proxy.Fault, a)}
			if seed%3 == 0 {
				edits = append(edits, opaque)
			}
			f, r := startFake(t, edits...)
			if a.r.IntN(3) == 0 {
				f.room = 1
			}
			for range 1 + a.r.IntN(3) {
				f.accept()
			}
			for range 300 {
				a.event(f)
			}
			for _, c := range f.conns[1:] {
				c.broken()
			}
			r.halves.balanced(t)
			require.Zero(t, r.Active())
		})
	}
	for seed := range uint64(300) {
		f(seed)
	}
}

// anyHarm does something to every exchange, and makes anything happen.
type anyHarm struct {
	halves
	r      *rand.Rand
	shapes []*shapes
	grips  []*grip
	silent map[*fakeConn]bool // has sent FIN
}

func (a *anyHarm) Request(x *traffic.Exchange) traffic.Action {
	a.halves.Request(x)
	r := a.r
	s, g := &shapes{up: a.shape(), down: a.shape()}, &grip{}
	a.shapes, a.grips = append(a.shapes, s), append(a.grips, g)
	h := &traffic.Harm{Shaper: s, Grip: g}
	if r.IntN(4) == 0 {
		h.Shaper = nil
	}
	if r.IntN(4) == 0 {
		h.Patch = &traffic.Patch{Lie: r.Int64N(9) - 4, Status: []int{0, 200, 204, 500}[r.IntN(4)]}
		if r.IntN(2) == 0 {
			h.Patch.Whole = bytes.ToUpper
		}
	}
	h.Copies, h.Failed = max(r.IntN(8)-5, 0), r.IntN(2) == 0
	h.Connect = []traffic.Connect{0, 0, 0, 0, 0, 0, traffic.ConnectRefused, traffic.ConnectStalled}[r.IntN(8)]
	h.Hole = r.IntN(12) == 0
	action := traffic.Action{Harm: h}
	if r.IntN(4) == 0 {
		action.Wait = time.Duration(r.IntN(500)) * time.Millisecond
	}
	return action
}

func (a *anyHarm) shape() traffic.Shape {
	r := a.r
	if r.IntN(3) == 0 {
		return traffic.Shape{}
	}
	s := anyShape(r)
	s.Hole = r.IntN(10) == 0
	s.End, s.Limit = []traffic.End{0, 0, 0, 0, traffic.EndClose, traffic.EndReset}[r.IntN(6)], r.Int64N(40)
	s.Again = []time.Duration{0, 0, 30 * time.Millisecond}[r.IntN(3)]
	return s
}

func (a *anyHarm) event(f *fake) {
	r := a.r
	c := f.conns[1+r.IntN(len(f.conns)-1)]
	server := false
	for i, d := range f.dialled {
		if server = d == c; server {
			if r.IntN(3) > 0 {
				f.upstream(i)
			}
			break
		}
	}
	open := !server || c.addr == ""
	switch r.IntN(10) {
	case 0, 1, 2:
		switch {
		case c.paused || c.closed || !open || a.silent[c]:
		case server:
			s := []string{answer, wiki + "0123456789", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "junk"}[r.IntN(6)]
			for s != "" && !c.paused && !c.closed {
				s = piece(r, s, c)
			}
		default:
			s := []string{ask, post5 + "hello", ask + ask, post5}[r.IntN(4)]
			for s != "" && !c.paused && !c.closed {
				s = piece(r, s, c)
			}
		}
	case 3, 4, 5:
		f.pass(time.Duration(r.IntN(300)) * time.Millisecond)
	case 6:
		c.drain()
	case 7:
		if open && !c.paused && !a.silent[c] && r.IntN(4) == 0 {
			a.silent[c] = true
			c.eof()
		} else if r.IntN(8) == 0 {
			c.broken()
		}
	case 8:
		if len(a.shapes) > 0 {
			s := a.shapes[r.IntN(len(a.shapes))]
			s.up, s.down = a.shape(), a.shape()
		}
	case 9:
		if len(a.grips) > 0 && r.IntN(3) == 0 {
			a.grips[r.IntN(len(a.grips))].over.Store(true)
		}
		if !server && c.closed && r.IntN(2) == 0 {
			f.accept()
		}
	}
}
