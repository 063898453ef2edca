package vegeta

import (
	"errors"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/loopkit"
)

// A loop keeps connections that are only numbers: what is sent on one is a whole request, and becomes a call.
type loop struct {
	driver  *driver
	handler engine.Handler
	conns   []*conn  // by engine.Handle.Index
	free    []uint32 // of conns that are nil
	made    uint32   // generations
	ending  bool
	alarmed engine.Alarmed // handler, where it is one
	alarm   *loopkit.Alarm // nil until it is set
}

type conn struct {
	h     engine.Handle
	addr  string
	calls []*call // the first is on its way: requests of a connection go one after the other
	stop  func()  // of its timer; nil: not set
}

var _ engine.Loop = (*loop)(nil)

var begun = []byte("HTTP/1.1 ")

var errUnix = errors.New("vegeta: no unix sockets")

// of is the connection that h names, or nil.
func (l *loop) of(h engine.Handle) *conn {
	if i := h.Index(); int(i) < len(l.conns) && l.conns[i] != nil && l.conns[i].h == h {
		return l.conns[i]
	}
	return nil
}

// Dial makes a connection, which is open at once: net/http opens the real one when it needs it.
func (l *loop) Dial(addr string, _ time.Duration) engine.Handle {
	if l.ending {
		return 0
	}
	var i uint32
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		i = uint32(len(l.conns))
		l.conns = append(l.conns, nil)
	}
	l.made++
	c := &conn{addr: addr, h: engine.Handle(uint64(l.made)<<32 | uint64(i))}
	l.conns[i] = c
	l.driver.event(func() {
		switch {
		case l.of(c.h) != c:
		case strings.HasPrefix(addr, "unix:"):
			l.drop(c)
			l.handler.OnClosed(c.h, errUnix)
		default:
			l.handler.OnDial(c.h)
		}
	})
	return c.h
}

// Send makes a call of b, a whole request.
func (l *loop) Send(h engine.Handle, b []byte) int {
	c := l.of(h)
	if c == nil {
		return 0
	}
	made := newCall(l, h, c.addr, b)
	c.calls = append(c.calls, made)
	if len(c.calls) == 1 {
		l.driver.attack.put(made)
	}
	return 0
}

// finish hands over the answer of a call, unless nobody waits for it any more.
func (l *loop) finish(done *call) {
	c := l.of(done.h)
	if c == nil || len(c.calls) == 0 || c.calls[0] != done {
		return
	}
	answer, err := done.answer()
	if err != nil {
		// The beginning of an answer, lest the request is sent again: net/http has done that where it may be.
		l.handler.OnData(done.h, begun)
		if l.of(done.h) == c {
			l.drop(c)
			l.handler.OnClosed(done.h, err)
		}
		return
	}
	if c.calls = c.calls[1:]; len(c.calls) > 0 {
		l.driver.attack.put(c.calls[0])
	}
	l.handler.OnData(done.h, answer)
}

// drop forgets a connection, and gives up its calls.
func (l *loop) drop(c *conn) {
	for _, made := range c.calls {
		made.cancel()
	}
	if c.stop != nil {
		c.stop()
	}
	i := c.h.Index()
	l.conns[i] = nil
	l.free = append(l.free, i)
}

func (l *loop) Close(h engine.Handle) {
	if c := l.of(h); c != nil {
		l.drop(c)
	}
}

func (l *loop) Reset(h engine.Handle) { l.Close(h) }

// CloseWrite, Pause and Resume have no meaning: requests are whole, and answers come in one piece.
func (l *loop) CloseWrite(engine.Handle) {}

func (l *loop) Pause(engine.Handle) {}

func (l *loop) Resume(engine.Handle) {}

func (l *loop) Arm(h engine.Handle, d time.Duration) {
	c := l.of(h)
	if c == nil {
		return
	}
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	if d <= 0 {
		return
	}
	fired := new(bool)
	stop := l.driver.after(d, func() {
		if l.of(h) == c && !*fired { // it may have been stopped when it was in the queue already
			*fired, c.stop = true, nil
			l.handler.OnTimer(h)
		}
	})
	c.stop = func() {
		*fired = true
		stop()
	}
}

// Alarm sets the loop's alarm, for which a thread of its own waits from the first call on.
func (l *loop) Alarm(d time.Duration) {
	if l.ending {
		return
	}
	if l.alarm == nil {
		l.alarm = loopkit.NewAlarm(func() { l.driver.event(l.ring) })
		l.driver.alarms.Go(func() { l.alarm.Run(l.driver.ctx) })
	}
	l.alarm.Set(d)
}

func (l *loop) ring() {
	if l.alarmed != nil {
		l.alarmed.OnAlarm()
	}
}

func (l *loop) Now() time.Time { return l.driver.cfg.Clock.Now() }

// end closes every connection; there are no events any more.
func (l *loop) end(cause error) {
	l.ending = true
	for _, c := range l.conns {
		if c != nil {
			l.drop(c)
			l.handler.OnClosed(c.h, cause)
		}
	}
}
