package replayer

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Overload says what becomes of a request that is due and cannot be sent, because its session waits for an
// answer, or because Config.InFlight sessions do. The zero Overload is to queue. It is written as
//
//	queue      it waits for its turn; its lag, and its latency from the due time, grow meanwhile
//	drop=1s    it waits no longer than that, and is not sent then; with InFlight: it is not sent at once
//	spawn=100  it goes out at once, on one of so many more connections, out of its session's order
type Overload struct {
	Drop  time.Duration // the most that a request may be late; 0 drops nothing
	Spawn int           // connections beside those of sessions; 0 opens none
}

// defaultDrop is what drop alone means: later than a user waits before trying again.
const defaultDrop = time.Second

// UnmarshalText parses a policy.
func (o *Overload) UnmarshalText(text []byte) error {
	name, arg, given := strings.Cut(string(text), "=")
	switch {
	case name == "queue" && !given:
		*o = Overload{}
		return nil
	case name == "drop" && !given:
		*o = Overload{Drop: defaultDrop}
		return nil
	case name == "drop":
		if d, err := time.ParseDuration(arg); err == nil && d > 0 {
			*o = Overload{Drop: d}
			return nil
		}
	case name == "spawn" && given:
		if n, err := strconv.Atoi(arg); err == nil && n > 0 {
			*o = Overload{Spawn: n}
			return nil
		}
	}
	return fmt.Errorf("want queue, drop, drop=200ms or spawn=100, found %q", text)
}

// String is the policy as it is written.
func (o Overload) String() string {
	switch {
	case o.Drop > 0:
		return "drop=" + o.Drop.String()
	case o.Spawn > 0:
		return "spawn=" + strconv.Itoa(o.Spawn)
	}
	return "queue"
}

// MarshalText is String.
func (o Overload) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// dropLate drops what has waited for too long at the front of s's queue.
func (c *client) dropLate(s *session) {
	for it := s.queue.head; it != nil && it.sent == unsent && c.now()-it.due > c.late; it = s.queue.head {
		c.lose(s.queue.pop(), dropOverload)
	}
}

// A turnLine holds the sessions that want to be active when as many are as may be, first come first.
type turnLine struct{ first, last *session }

func (l *turnLine) add(s *session) {
	if s.lined {
		return
	}
	s.lined = true
	if l.last == nil {
		l.first = s
	} else {
		l.last.behind = s
	}
	l.last = s
}

func (l *turnLine) take() *session {
	s := l.first
	if l.first = s.behind; l.first == nil {
		l.last = nil
	}
	s.lined, s.behind = false, nil
	return s
}

// enter makes s active, or puts it in line.
func (c *client) enter(s *session) bool {
	if s.active {
		return true
	}
	if c.most > 0 && c.active >= c.most {
		c.turn.add(s)
		return false
	}
	s.active = true
	c.active++
	return true
}

func (c *client) leave(s *session) {
	s.active = false
	c.active--
}

// admit lets those in that can be. One that has nothing left to send when its turn comes calls admit again,
// which is left to the first call.
func (c *client) admit() {
	if c.admitting {
		return
	}
	c.admitting = true
	for c.active < c.most && c.turn.first != nil {
		if s := c.turn.take(); s.queue.n > 0 {
			s.freeAt = c.now()
			c.advance(s)
		}
	}
	c.admitting = false
	c.hunger()
}

// hunger asks for more when sessions could be active and are not: all that was released may be of a
// few others. Some are always missing for a moment; to read further for each would end with all of the
// recording in memory.
func (c *client) hunger() {
	if c.closedLoop && c.active < c.most-c.most/8 && !c.stopped {
		c.more()
	}
}

// extras are connections that belong to no session.
type extras struct {
	most      int
	all, free []*session
}

// extra is a connection for what would have to wait for its session; nil when all are in use.
func (c *client) extra() *session {
	e := &c.extras
	if n := len(e.free); n > 0 {
		s := e.free[n-1]
		e.free = e.free[:n-1]
		s.spare = false
		return s
	}
	if len(e.all) == e.most {
		return nil
	}
	s := &session{extra: true, id: uint64(len(e.all))}
	e.all = append(e.all, s)
	return s
}

func (e *extras) put(s *session) {
	if !s.spare {
		s.spare = true
		e.free = append(e.free, s)
	}
}
