package secure

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/redlane/redlane/internal/engine"
)

// A Doorman is a Handler that decides about clients before anything of them is read, a handshake included.
type Doorman interface {
	// OnArrival is called before OnAccept, and is the only call for a client that gets no further.
	OnArrival(h engine.Handle, tag int, from, to netip.AddrPort, secured bool) Arrival
}

// An Arrival is what becomes of a client that has just connected. The zero Arrival lets it in.
type Arrival struct {
	Refuse      bool
	Stalled     func() bool      // nil: it is not; else it is kept open and not read from for as long as this is true
	Certificate *tls.Certificate // presented in place of the Server's
}

// stallLook is how often Stalled is asked.
const stallLook = 100 * time.Millisecond

// arrive asks the Doorman, and lets the client in, or keeps it waiting, or does not.
func (l *Loop) arrive(h engine.Handle, s *Server, tag int, from, to netip.AddrPort) {
	a := l.doorman.OnArrival(h, tag, from, to, s != nil)
	if s != nil && a.Certificate != nil {
		s = s.with(a.Certificate)
	}
	switch {
	case a.Refuse:
		l.Loop.Reset(h)
	case a.Stalled != nil:
		c := l.add(h, stalled)
		c.server, c.tag, c.from, c.to, c.stalled, c.counted = s, tag, from, to, a.Stalled, true
		l.Loop.Pause(h)
		l.Loop.Arm(h, stallLook)
	default:
		l.letIn(h, s, tag, from, to)
	}
}

func (l *Loop) letIn(h engine.Handle, s *Server, tag int, from, to netip.AddrPort) {
	if s != nil {
		l.greet(h, s, tag, from, to)
		return
	}
	l.inner.OnAccept(h, tag, from, to)
}

// waits goes on with a stalled client when it is no more.
func (c *conn) waits() {
	l := c.loop
	if c.stalled() {
		l.Loop.Arm(c.h, stallLook)
		return
	}
	c.leave(gone)
	l.Loop.Resume(c.h)
	l.letIn(c.h, c.server, c.tag, c.from, c.to)
}

// with is s with another certificate, which every client gets to see: none goes on from an earlier handshake.
func (s *Server) with(cert *tls.Certificate) *Server {
	config := s.TLS.Clone()
	config.Certificates, config.GetConfigForClient = nil, nil
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }
	config.SessionTicketsDisabled = true
	return &Server{TLS: config, Timeout: s.Timeout, NotTLS: s.NotTLS}
}
