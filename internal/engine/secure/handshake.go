package secure

import (
	"crypto/tls"
	"errors"
	"sync"

	"github.com/redlane/redlane/internal/engine"
)

// A handshake is what the loop and the goroutine that runs the handshake share. The goroutine exists from
// the first bytes of a client, or from the end of a dial. While it waits for its peer it does not compute,
// and so holds up no other.
type handshake struct {
	conn *conn
	mu   sync.Mutex
	news sync.Cond // something below has changed

	in     []byte // came, and was not read yet
	end    bool   // no more will come
	stop   bool   // nobody wants it any more
	choked bool   // the driver was told to read no more, because in is long

	out    []byte // written, and not sent yet
	posted bool   // the loop is about to look
	done   bool
	err    error // how it ended
}

// feedMost is how much may wait for the handshake: more than a client's longest message is worth.
const feedMost = 64 << 10

var (
	errEnded   = errors.New("the peer ended the connection during the TLS handshake")
	errGivenUp = errors.New("TLS handshake given up")
)

// startHandshake runs the handshake of c on a goroutine.
func (c *conn) startHandshake() {
	l := c.loop
	s := &handshake{conn: c}
	s.news.L = &s.mu
	c.shake, c.phase = s, shaking
	if c.server != nil {
		l.shaking++
		c.tls = tls.Server(c, c.server.TLS)
	} else {
		c.tls = tls.Client(c, c.config)
	}
	l.driver.handshakes.Go(s.run)
}

func (s *handshake) run() {
	computing := s.conn.loop.computing
	computing <- struct{}{}
	err := s.conn.tls.Handshake()
	<-computing
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.err = true, err
	s.report()
}

// report has the loop look at what has come of it so far. The caller holds mu.
func (s *handshake) report() {
	if s.posted || s.stop {
		return
	}
	s.posted = true
	l := s.conn.loop
	l.driver.Driver.Post(l.number, func(engine.Loop, engine.Handler) {
		s.conn.progress(s)
		l.settle()
	})
}

// read is Read while the handshake runs. What was written goes out before it waits, so that a flight of
// several messages is one Send.
func (s *handshake) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.in) == 0 && !s.end && !s.stop {
		s.wait()
	}
	switch {
	case s.stop:
		return 0, errGivenUp
	case len(s.in) == 0:
		return 0, errEnded
	}
	record := &s.conn.record
	n := copy(p, s.in[:record.span(s.in)])
	record.advance(s.in[:n])
	s.in = s.in[:copy(s.in, s.in[n:])]
	if s.choked && len(s.in) < feedMost/2 {
		s.report()
	}
	return n, nil
}

func (s *handshake) wait() {
	if len(s.out) > 0 {
		s.report()
	}
	computing := s.conn.loop.computing
	<-computing
	for len(s.in) == 0 && !s.end && !s.stop {
		s.news.Wait()
	}
	s.mu.Unlock()
	computing <- struct{}{}
	s.mu.Lock()
}

func (s *handshake) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, p...)
	return len(p), nil
}

// feed gives b to the handshake; the end of the stream too, when it has come.
func (c *conn) feed(b []byte) {
	s := c.shake
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in = append(s.in, b...)
	s.end = c.fin
	if len(s.in) > feedMost && !c.stopped {
		s.choked, c.stopped = true, true
		c.loop.Loop.Pause(c.h)
	}
	s.news.Signal()
}

// giveUp tells the goroutine, where there is one, to end.
func (c *conn) giveUp() {
	s := c.shake
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = true
	s.news.Signal()
}

// progress sends what the handshake has written and ends it when it is done.
func (c *conn) progress(s *handshake) {
	if c.phase == lost {
		c.verdict(s)
	}
	if c.phase != shaking {
		return
	}
	s.mu.Lock()
	s.posted = false
	done, err := s.done, s.err
	out := s.out
	s.out = nil
	if s.choked && len(s.in) <= feedMost/2 && !done {
		s.choked, c.stopped = false, false
		c.loop.Loop.Resume(c.h)
	}
	s.mu.Unlock()
	if len(out) > 0 {
		c.waiting = c.loop.Loop.Send(c.h, out)
	}
	switch {
	case !done:
	case err == nil:
		c.establish()
	default:
		c.fail(resultOf(err, c.record.head[0]), err, nil)
	}
}

// verdict counts how the handshake of a connection ended that is gone.
func (c *conn) verdict(s *handshake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posted = false
	switch {
	case !s.done:
	case s.err == nil:
		c.count(resultClosed)
	default:
		c.count(resultOf(s.err, c.record.head[0]))
	}
}
