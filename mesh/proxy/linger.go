package proxy

import "time"

// Closing a socket that holds unread bytes sends a reset, which overtakes the answer and destroys it at
// the client. So a connection that ends while its client is still sending says that it has ended, and
// throws away what comes for a moment.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

func (s *session) lingerOn() {
	s.phase, s.linger = lingering, 0
	s.loop.CloseWrite(s.h)
	s.loop.Arm(s.h, lingerTime)
}

func (s *session) discard(n int) {
	if s.linger += n; s.linger > lingerBytes {
		s.close()
	}
}
