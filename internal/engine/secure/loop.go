package secure

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// A Loop is one loop of the driver below with TLS on the connections that have it. It is the Handler of
// that loop, and the Loop of the Handler above.
type Loop struct {
	engine.Loop             // of the driver
	above       engine.Loop // this, as the Handler has it
	inner       engine.Handler
	waiter      Waiter         // inner; nil: does not want to know
	doorman     Doorman        // inner; nil: lets everybody in
	alarmed     engine.Alarmed // inner; nil: sets no alarm
	driver      *Driver
	number      int

	conns  []slot  // by engine.Handle.Index; plain connections have none
	nobody bool    // a client has failed since the waiter was told
	ready  []*conn // have something to hand over as soon as the present event is over

	plain []byte // what was decrypted and is being handed over
	out   []byte // what was encrypted and is about to be sent

	shaking   int           // handshakes of clients that have begun
	computing chan struct{} // holds one for each handshake that is not waiting for its peer
	stats     stats

	lastWarning time.Time
}

type slot struct {
	h engine.Handle
	c *conn
}

var (
	_ engine.Handler = (*Loop)(nil)
	_ engine.Loop    = (*Loop)(nil)
	_ engine.Alarmed = (*Loop)(nil)
)

// conn is nil for a connection that is not TLS.
func (l *Loop) conn(h engine.Handle) *conn {
	if i := int(h.Index()); i < len(l.conns) && l.conns[i].h == h {
		return l.conns[i].c
	}
	return nil
}

func (l *Loop) add(h engine.Handle, p phase) *conn {
	if l.plain == nil {
		l.plain = make([]byte, plainSize)
	}
	for int(h.Index()) >= len(l.conns) {
		l.conns = append(l.conns, slot{})
	}
	c := &conn{loop: l, h: h, phase: p}
	l.conns[h.Index()] = slot{h, c}
	return c
}

// State is what the handshake of h agreed on: version, SNI, ALPN, the peer's verified certificates. It is
// nil when h is plain, or over, or still at its handshake.
func (l *Loop) State(h engine.Handle) *tls.ConnectionState {
	c := l.conn(h)
	if c == nil || c.phase != open {
		return nil
	}
	s := c.tls.ConnectionState()
	return &s
}

// Handshaking is how many clients have connected and are not known to the Handler yet.
func (l *Loop) Handshaking() int { return int(l.stats.active.Load()) }

// A Waiter is a Handler that wants to know of clients that it will never see: a drain must wait for those
// that are at their handshake.
type Waiter interface {
	// OnNobody says that a client failed its handshake, or was sent away, and that Handshaking is now 0.
	OnNobody()
}

// Hurry leaves clients that are at their handshake no more than d for it.
func (l *Loop) Hurry(d time.Duration) {
	limit := l.Now().Add(d)
	for _, s := range l.conns {
		if c := s.c; c != nil && c.server != nil && c.phase <= shaking && limit.Before(c.limit) {
			c.limit = limit
			c.setTimer()
		}
	}
}

// settle tells the Handler what could not be told from within what it called: what may be handed over since
// Resume, and that nobody is at a handshake.
func (l *Loop) settle() {
	if len(l.ready) == 0 && !l.nobody {
		return
	}
	for i := 0; i < len(l.ready); i++ { // going on with one may make another ready
		c := l.ready[i]
		l.ready[i], c.ready = nil, false
		c.goOn()
	}
	l.ready = l.ready[:0]
	if l.nobody {
		l.nobody = false
		if l.waiter != nil && l.Handshaking() == 0 {
			l.waiter.OnNobody()
		}
	}
}

// OnAlarm passes it on.
func (l *Loop) OnAlarm() {
	if l.alarmed != nil {
		l.alarmed.OnAlarm()
	}
	l.settle()
}

// OnAccept passes a plain connection on and begins to secure another.
func (l *Loop) OnAccept(h engine.Handle, tag int, from, to netip.AddrPort) {
	var s *Server
	if ask := l.driver.cfg.Server; ask != nil {
		s = ask(tag)
	}
	if l.doorman != nil {
		l.arrive(h, s, tag, from, to)
	} else {
		l.letIn(h, s, tag, from, to)
	}
	l.settle()
}

// OnDial begins the handshake of a connection opened by DialTLS.
func (l *Loop) OnDial(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.dialled()
	} else {
		l.inner.OnDial(h)
	}
	l.settle()
}

// OnData decrypts.
func (l *Loop) OnData(h engine.Handle, b []byte) {
	if c := l.conn(h); c != nil {
		c.data(b)
	} else {
		l.inner.OnData(h, b)
	}
	l.settle()
}

// OnEOF is an end only after close_notify.
func (l *Loop) OnEOF(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.finished()
	} else {
		l.inner.OnEOF(h)
	}
	l.settle()
}

// OnWritable is passed on where it is the Handler's bytes that have gone.
func (l *Loop) OnWritable(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.writable()
	} else {
		l.inner.OnWritable(h)
	}
	l.settle()
}

// OnClosed ends a handshake that is going on.
func (l *Loop) OnClosed(h engine.Handle, err error) {
	if c := l.conn(h); c != nil {
		c.closed(err)
	} else {
		l.inner.OnClosed(h, err)
	}
	l.settle()
}

// OnTimer is the Handler's timer, or the handshake's.
func (l *Loop) OnTimer(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.timer()
	} else {
		l.inner.OnTimer(h)
	}
	l.settle()
}

// DialTLS is Dial, followed by a handshake as a client. OnDial comes after both, which together may take as
// long as timeout; the error of a handshake that failed comes with OnClosed.
func (l *Loop) DialTLS(addr string, timeout time.Duration, config *tls.Config) engine.Handle {
	h := l.Loop.Dial(addr, timeout)
	if h == 0 {
		return 0
	}
	c := l.add(h, dialling)
	c.addr, c.config = addr, config
	if timeout <= 0 {
		timeout = l.driver.cfg.Timeout
	}
	c.limit = l.Now().Add(timeout)
	return h
}

// Send encrypts b and sends it. How much waits is counted in bytes of ciphertext.
func (l *Loop) Send(h engine.Handle, b []byte) (waiting int) {
	if c := l.conn(h); c != nil {
		return c.send(b)
	}
	return l.Loop.Send(h, b)
}

// CloseWrite sends close_notify and FIN.
func (l *Loop) CloseWrite(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.closeWrite()
		return
	}
	l.Loop.CloseWrite(h)
}

// Close sends close_notify and ends the connection.
func (l *Loop) Close(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.close()
		return
	}
	l.Loop.Close(h)
}

// Reset ends the connection without a word.
func (l *Loop) Reset(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.drop()
	}
	l.Loop.Reset(h)
}

// Pause stops reading and decrypting. A handshake goes on.
func (l *Loop) Pause(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.pause()
		return
	}
	l.Loop.Pause(h)
}

// Resume takes both up again.
func (l *Loop) Resume(h engine.Handle) {
	if c := l.conn(h); c != nil {
		c.resume()
		return
	}
	l.Loop.Resume(h)
}

// Arm sets the Handler's timer, which a handshake shares.
func (l *Loop) Arm(h engine.Handle, d time.Duration) {
	if c := l.conn(h); c != nil && c.phase != open {
		c.arm(d)
		return
	}
	l.Loop.Arm(h, d)
}
