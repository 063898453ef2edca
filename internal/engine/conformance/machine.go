package conformance

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// A machine stands between the driver and the hooks of one test. It is the Handler of one loop and, for
// the hooks, the Loop. It checks the rules of package engine on every event.
type machine struct {
	t     testing.TB
	loop  engine.Loop
	index int
	hooks hooks
	ended *atomic.Bool // Run has returned

	inside  atomic.Bool
	current string // event that is being handled
	conns   map[engine.Handle]*life
	alarm   time.Time // when it is set to
}

// hooks are what a test does with events. Missing ones do nothing.
type hooks struct {
	accept   func(h engine.Handle, tag int, from, to netip.AddrPort)
	dial     func(h engine.Handle)
	data     func(h engine.Handle, b []byte)
	eof      func(h engine.Handle)
	writable func(h engine.Handle)
	closed   func(h engine.Handle, err error)
	timer    func(h engine.Handle)
	alarm    func()
}

// A life is what a machine knows of a connection that is not over.
type life struct {
	open, paused, eof bool
	waiting           bool // the last Send returned more than 0
	due               time.Time
}

var (
	_ engine.Handler = (*machine)(nil)
	_ engine.Loop    = (*machine)(nil)
	_ engine.Alarmed = (*machine)(nil)
)

// enter starts an event; the function it returns ends it.
func (m *machine) enter(event string) func() {
	if !m.inside.CompareAndSwap(false, true) {
		m.t.Errorf("%s while the same loop is in %s: events must not overlap", event, m.current)
		return func() {}
	}
	if m.ended.Load() {
		m.t.Errorf("%s after Run has returned", event)
	}
	m.current = event
	return func() { m.inside.Store(false) }
}

// life returns what is known of h, and complains when an event comes for a connection that is over, or
// comes before it is open.
func (m *machine) life(event string, h engine.Handle) *life {
	c := m.conns[h]
	if c == nil {
		m.t.Errorf("%s for handle %#x, which is over or never was", event, uint64(h))
		return new(life)
	}
	if !c.open && event != "OnDial" && event != "OnClosed" && event != "OnTimer" {
		m.t.Errorf("%s for handle %#x before OnDial", event, uint64(h))
	}
	return c
}

func (m *machine) start(event string, h engine.Handle, open bool) {
	if h == 0 {
		m.t.Errorf("%s: handle 0 names nothing", event)
	}
	if m.conns[h] != nil {
		m.t.Errorf("%s: handle %#x is in use", event, uint64(h))
	}
	m.conns[h] = &life{open: open}
}

func (m *machine) OnAccept(h engine.Handle, tag int, from, to netip.AddrPort) {
	defer m.enter("OnAccept")()
	m.start("OnAccept", h, true)
	if m.hooks.accept != nil {
		m.hooks.accept(h, tag, from, to)
	}
}

func (m *machine) OnDial(h engine.Handle) {
	defer m.enter("OnDial")()
	c := m.life("OnDial", h)
	if c.open {
		m.t.Error("OnDial for an open connection")
	}
	c.open = true
	if m.hooks.dial != nil {
		m.hooks.dial(h)
	}
}

func (m *machine) OnData(h engine.Handle, b []byte) {
	defer m.enter("OnData")()
	c := m.life("OnData", h)
	switch {
	case c.paused:
		m.t.Error("OnData while paused")
	case c.eof:
		m.t.Error("OnData after OnEOF")
	case len(b) == 0:
		m.t.Error("OnData without bytes")
	}
	if m.hooks.data != nil {
		m.hooks.data(h, b)
	}
}

func (m *machine) OnEOF(h engine.Handle) {
	defer m.enter("OnEOF")()
	c := m.life("OnEOF", h)
	switch {
	case c.paused:
		m.t.Error("OnEOF while paused")
	case c.eof:
		m.t.Error("OnEOF twice")
	}
	c.eof = true
	if m.hooks.eof != nil {
		m.hooks.eof(h)
	}
}

func (m *machine) OnWritable(h engine.Handle) {
	defer m.enter("OnWritable")()
	c := m.life("OnWritable", h)
	if !c.waiting {
		m.t.Error("OnWritable though nothing waited")
	}
	c.waiting = false
	if m.hooks.writable != nil {
		m.hooks.writable(h)
	}
}

func (m *machine) OnClosed(h engine.Handle, err error) {
	defer m.enter("OnClosed")()
	m.life("OnClosed", h)
	if err == nil {
		m.t.Error("OnClosed without an error")
	}
	delete(m.conns, h)
	if m.hooks.closed != nil {
		m.hooks.closed(h, err)
	}
}

func (m *machine) OnTimer(h engine.Handle) {
	defer m.enter("OnTimer")()
	c := m.life("OnTimer", h)
	if c.due.IsZero() {
		m.t.Error("OnTimer, but the timer is not set")
	} else if early := time.Until(c.due); early > 0 {
		m.t.Errorf("OnTimer %s early", early)
	}
	c.due = time.Time{}
	if m.hooks.timer != nil {
		m.hooks.timer(h)
	}
}

func (m *machine) OnAlarm() {
	defer m.enter("OnAlarm")()
	if m.alarm.IsZero() {
		m.t.Error("OnAlarm, but the alarm is not set")
	} else if early := time.Until(m.alarm); early > 0 {
		m.t.Errorf("OnAlarm %s early", early)
	}
	m.alarm = time.Time{}
	if m.hooks.alarm != nil {
		m.hooks.alarm()
	}
}

func (m *machine) Alarm(d time.Duration) {
	if m.alarm = (time.Time{}); d >= 0 {
		m.alarm = time.Now().Add(d)
	}
	m.loop.Alarm(d)
}

func (m *machine) Dial(addr string, timeout time.Duration) engine.Handle {
	h := m.loop.Dial(addr, timeout)
	if h != 0 {
		m.start("Dial", h, false)
	}
	return h
}

// Send spoils a copy of b afterwards, because a driver may keep no hold on it.
func (m *machine) Send(h engine.Handle, b []byte) int {
	lent := append([]byte(nil), b...)
	waiting := m.loop.Send(h, lent)
	for spoilt := 0; spoilt < len(lent); {
		spoilt += copy(lent[spoilt:], spoil)
	}
	c := m.conns[h]
	switch {
	case waiting < 0:
		m.t.Errorf("Send returned %d", waiting)
	case waiting > 0 && c == nil:
		m.t.Errorf("Send to a connection that is over returned %d", waiting)
	case c != nil && c.waiting && waiting == 0:
		// Legal only when the connection has broken, which OnClosed will tell.
	case c != nil && waiting > 0:
		c.waiting = true
	}
	return waiting
}

var spoil = bytes.Repeat([]byte{0xCC}, 4<<10)

func (m *machine) CloseWrite(h engine.Handle) { m.loop.CloseWrite(h) }

func (m *machine) Close(h engine.Handle) {
	delete(m.conns, h)
	m.loop.Close(h)
}

func (m *machine) Reset(h engine.Handle) {
	delete(m.conns, h)
	m.loop.Reset(h)
}

func (m *machine) Pause(h engine.Handle) {
	if c := m.conns[h]; c != nil {
		c.paused = true
	}
	m.loop.Pause(h)
}

func (m *machine) Resume(h engine.Handle) {
	if c := m.conns[h]; c != nil {
		c.paused = false
	}
	m.loop.Resume(h)
}

func (m *machine) Arm(h engine.Handle, d time.Duration) {
	if c := m.conns[h]; c != nil {
		c.due = time.Time{}
		if d > 0 {
			c.due = m.loop.Now().Add(d)
		}
	}
	m.loop.Arm(h, d)
}

func (m *machine) Now() time.Time { return m.loop.Now() }
