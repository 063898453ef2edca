package secure_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// A memory is a driver with one loop and without sockets: what is dialled is accepted by the same loop, and
// arrives in pieces as cut says. Events come one after the other on the goroutine that calls turn.
type memory struct {
	handler engine.Handler
	posts   chan func(engine.Loop, engine.Handler)
	ends    []*end // by handle, from 1; the peer of 2n-1 is 2n
	now     time.Time
	cut     func(n int) int // how many of n bytes arrive at once; nil: all
}

// An end is one end of a connection.
type end struct {
	in     []byte
	spare  []byte // what in is gathered in while the Handler looks at the other
	fin    bool   // no more will come
	told   bool   // OnEOF was called
	paused bool
	gone   bool
	opened bool
}

func newMemory(h engine.NewHandler) *memory {
	m := &memory{posts: make(chan func(engine.Loop, engine.Handler), 1<<10), now: time.Unix(1e9, 0)}
	m.handler = h(m)
	return m
}

func (m *memory) end(h engine.Handle) *end {
	if i := int(h) - 1; i >= 0 && i < len(m.ends) && !m.ends[i].gone {
		return m.ends[i]
	}
	return nil
}

func peer(h engine.Handle) engine.Handle { return (h - 1) ^ 1 + 1 }

// turn delivers all there is, and reports whether that was anything.
func (m *memory) turn() (any bool) {
	for len(m.posts) > 0 {
		(<-m.posts)(m, m.handler)
		any = true
	}
	for i := range m.ends {
		h := engine.Handle(i + 1)
		e := m.ends[i]
		switch {
		case e.gone:
		case !e.opened:
			e.opened, any = true, true
			if h%2 == 1 {
				m.handler.OnDial(h)
			} else {
				m.handler.OnAccept(h, 0, netip.AddrPort{}, netip.AddrPort{})
			}
		case e.paused:
		case len(e.in) > 0:
			any = true
			b := e.in
			if m.cut != nil {
				n := min(max(m.cut(len(b)), 1), len(b))
				if n < len(b) { // what comes in the meantime goes behind the rest
					e.in = b[n:]
					m.handler.OnData(h, b[:n:n])
					continue
				}
			}
			e.in = e.spare[:0]
			m.handler.OnData(h, b)
			e.spare = b
		case e.fin && !e.told:
			e.told, any = true, true
			m.handler.OnEOF(h)
		}
	}
	return any
}

// run turns until ready says so.
func (m *memory) run(ready func() bool) {
	for !ready() {
		if !m.turn() {
			(<-m.posts)(m, m.handler)
		}
	}
}

func (m *memory) Dial(string, time.Duration) engine.Handle {
	m.ends = append(m.ends, new(end), new(end))
	return engine.Handle(len(m.ends) - 1)
}

func (m *memory) Send(h engine.Handle, b []byte) int {
	if p := m.end(peer(h)); p != nil && m.end(h) != nil {
		p.in = append(p.in, b...)
	}
	return 0
}

func (m *memory) CloseWrite(h engine.Handle) {
	if p := m.end(peer(h)); p != nil {
		p.fin = true
	}
}

func (m *memory) Close(h engine.Handle) {
	m.CloseWrite(h)
	if e := m.end(h); e != nil {
		e.gone = true
	}
}

func (m *memory) Reset(h engine.Handle) { m.Close(h) }
func (m *memory) Pause(h engine.Handle) {
	if e := m.end(h); e != nil {
		e.paused = true
	}
}
func (m *memory) Resume(h engine.Handle) {
	if e := m.end(h); e != nil {
		e.paused = false
	}
}
func (m *memory) Arm(engine.Handle, time.Duration) {}
func (m *memory) Alarm(time.Duration)              {}
func (m *memory) Now() time.Time                   { return m.now }

func (m *memory) Listen(engine.Bind) (engine.Listener, error) { return nowhere{}, nil }
func (m *memory) Loops() int                                  { return 1 }
func (m *memory) Post(_ int, f func(engine.Loop, engine.Handler)) {
	m.posts <- f
}
func (m *memory) Each(f func(engine.Loop, engine.Handler)) { f(m, m.handler) }
func (m *memory) Run(context.Context) error                { return nil }

type nowhere struct{}

func (nowhere) Addr() net.Addr               { return &net.TCPAddr{} }
func (nowhere) Sockets() ([]*os.File, error) { return nil, nil }
func (nowhere) Close() error                 { return nil }
