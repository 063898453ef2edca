package proxy

import (
	"time"

	"github.com/redlane/redlane/traffic"
)

// A pace says when the bytes of one direction of an exchange may pass. It counts them; where they wait is
// for its owner to know.
//
//	came ─► marks ─► next: how many now, or when ─► take ─► charge
//
// It reckons with the times at which bytes should pass, not with those at which somebody came to look: a
// timer that is late makes nothing slower.
type pace struct {
	shape  traffic.Shape // as last asked
	again  time.Time     // when to ask though nothing has come; zero: never
	marks  []mark
	waits  int       // bytes in marks
	free   time.Time // when what passed before has passed
	start  time.Time // when what was taken last began to pass
	passed int64     // bytes that count

	ended bool      // the end of the direction has come, and waits too
	end   time.Time // when
	over  bool      // it has been passed on
}

// A mark is a piece that came, and when it may begin to pass.
type mark struct {
	n   int
	due time.Time
}

const (
	maxMarks  = 1 << 12               // more pieces become one, which passes with the last of them
	burst     = 50 * time.Millisecond // as much as may be caught up of a rate that was not made use of
	perSecond = 100                   // pieces into which a rate is cut
)

// open reports whether nothing is done to the bytes.
func (p *pace) open() bool { return p.shape == traffic.Shape{} }

// came notes n bytes more.
func (p *pace) came(n int, now time.Time) {
	due := now.Add(max(p.shape.Delay, 0))
	p.waits += n
	if k := len(p.marks); k > 0 {
		last := &p.marks[k-1]
		if due.Before(last.due) {
			due = last.due
		}
		if k == maxMarks || due.Equal(last.due) {
			last.n += n
			last.due = due
			return
		}
	}
	p.marks = append(p.marks, mark{n, due})
}

// due is how many bytes may begin to pass, and since when the first of them might; or when it may.
func (p *pace) due(now time.Time) (n int, since time.Time) {
	since = p.marks[0].due
	if p.shape.Delay <= 0 { // nothing is delayed any more
		if since.After(now) { // for good: a rate counts from here, however often somebody looks
			since, p.marks = now, append(p.marks[:0], mark{p.waits, now})
		}
		return p.waits, since
	}
	for _, m := range p.marks {
		if m.due.After(now) {
			break
		}
		n += m.n
	}
	return n, since
}

// next is how many of the bytes that wait may pass now. Where none may, at is when that changes; zero: not
// by itself.
func (p *pace) next(now time.Time) (n int, at time.Time) {
	s := &p.shape
	switch {
	case p.waits == 0:
		return 0, at
	case p.open():
		p.start = now
		return p.waits, at
	case s.Hole:
		return 0, at
	}
	n, p.start = p.due(now)
	if n == 0 {
		return 0, p.start
	}
	if p.start.Before(p.free) {
		p.start = p.free
	}
	switch {
	case s.Slice > 0:
		n = min(n, s.Slice)
	case s.Rate > 0:
		n = min(n, int(max(s.Rate/perSecond, 1)))
	}
	if s.End != traffic.EndNone && s.Limit > p.passed {
		n = int(min(int64(n), s.Limit-p.passed))
	}
	lasts := p.lasts(n)
	if early := now.Add(-burst - lasts); p.start.Before(early) {
		p.start = early
	}
	if done := p.start.Add(lasts); done.After(now) {
		return 0, done
	}
	return n, at
}

// ready is how many of the bytes that wait may pass now if they cost nothing, as heads do.
func (p *pace) ready(now time.Time) (n int) {
	p.start = now
	switch {
	case p.waits == 0 || p.shape.Hole:
		return 0
	case p.open():
		return p.waits
	}
	n, _ = p.due(now)
	return n
}

// lasts is how long n bytes take.
func (p *pace) lasts(n int) time.Duration {
	if p.shape.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(n) / float64(p.shape.Rate) * 1e9)
}

// take removes n bytes that are about to pass.
func (p *pace) take(n int) {
	p.waits -= n
	i := 0
	for n > 0 {
		m := &p.marks[i]
		if m.n > n {
			m.n -= n
			break
		}
		n -= m.n
		i++
	}
	p.marks = p.marks[:copy(p.marks, p.marks[i:])]
}

// charge counts those of the bytes taken last that count.
func (p *pace) charge(n int64, now time.Time) {
	p.passed += n
	p.free = p.start.Add(p.lasts(int(n)))
	if n > 0 && p.shape.Pause > 0 {
		p.free = now.Add(p.shape.Pause)
	}
}

// drop throws away what waits.
func (p *pace) drop() {
	p.passed += int64(p.waits)
	p.marks, p.waits = p.marks[:0], 0
}

// reached reports whether it is time for the end that was asked for.
func (p *pace) reached() bool { return p.shape.End != traffic.EndNone && p.passed >= p.shape.Limit }

// mayEnd reports whether the end that has come may be passed on.
func (p *pace) mayEnd(now time.Time) bool {
	return p.waits == 0 && !p.end.Add(p.shape.Linger).After(now)
}

// wake is when to look again; zero: when something comes.
func (p *pace) wake(now time.Time) (at time.Time) {
	if p.waits > 0 || p.ended {
		at = now.Add(gripLook)
	}
	if n, t := p.next(now); n == 0 {
		at = sooner(at, t)
	}
	if p.ended && p.waits == 0 {
		at = sooner(at, p.end.Add(p.shape.Linger))
	}
	return sooner(at, p.again)
}

// sooner is the earlier of two times, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
