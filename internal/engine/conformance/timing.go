package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// timers: each fires once, and never early, which the machine checks.
func (s *suite) timers(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	const n = 40
	for i := range n {
		_, at := r.connect(addr)
		// The connections are still being made while the first timers fire: keep those apart.
		at.do(func(m *machine, h engine.Handle) {
			m.Arm(h, 500*time.Millisecond+time.Duration(i*i)*100*time.Microsecond)
		})
	}
	fired := map[ref]int{}
	for range n {
		fired[r.next("timer").at]++
	}
	require.Len(t, fired, n)
	r.silence(50 * time.Millisecond)
}

// timerMoves: a new Arm takes the place of the old.
func (s *suite) timerMoves(t *testing.T) {
	r := s.logged(t)
	_, at := r.connect(r.listen(0))
	f := func(min, max time.Duration, arms ...time.Duration) {
		t.Helper()
		from := time.Now()
		at.do(func(m *machine, h engine.Handle) {
			for _, d := range arms {
				m.Arm(h, d)
			}
		})
		r.next("timer")
		took := time.Since(from)
		require.True(t, took >= min && took < max, "armed with %v, fired after %v", arms, took)
	}
	f(20*time.Millisecond, patience/2, 20*time.Millisecond)
	f(200*time.Millisecond, patience/2, 10*time.Millisecond, 200*time.Millisecond)
	f(20*time.Millisecond, patience/2, time.Hour, 20*time.Millisecond)
	f(20*time.Millisecond, patience/2, time.Hour, 0, 20*time.Millisecond)
	f(100*time.Millisecond, patience/2, 5*time.Millisecond, -1, 100*time.Millisecond)
	f(1, patience/2, 1)

	// Moved while it runs down, each time before it is due.
	from := time.Now()
	for range 10 {
		at.do(func(m *machine, h engine.Handle) { m.Arm(h, 300*time.Millisecond) })
		time.Sleep(10 * time.Millisecond)
	}
	r.next("timer")
	require.GreaterOrEqual(t, time.Since(from), 390*time.Millisecond)

	at.do(func(m *machine, h engine.Handle) { m.Arm(h, 20*time.Millisecond); m.Arm(h, 0) })
	r.silence(60 * time.Millisecond)

	// Set again from within OnTimer.
	left := 5
	at.do(func(m *machine, h engine.Handle) {
		log := m.hooks.timer
		m.hooks.timer = func(h engine.Handle) {
			if left--; left > 0 {
				m.Arm(h, 2*time.Millisecond)
			} else {
				log(h)
			}
		}
		m.Arm(h, time.Millisecond)
	})
	r.next("timer")
	r.silence(30 * time.Millisecond)
}

// timerOfClosed: the timer ends with its connection, and the next connection does not inherit it.
func (s *suite) timerOfClosed(t *testing.T) {
	r := s.logged(t)
	addr := r.listen(0)
	const d = 60 * time.Millisecond
	arm := func(m *machine, h engine.Handle) { m.Arm(h, d) }
	for range 2 * r.driver.Loops() {
		_, at := r.connect(addr)
		at.do(arm)
		at.do(func(m *machine, h engine.Handle) { m.Close(h) })
		_, at = r.connect(addr)
		at.do(arm)
		at.do(func(m *machine, h engine.Handle) { m.Reset(h) })
		c, at := r.connect(addr)
		at.do(arm)
		resetFrom(c)
		r.next("closed")
		c, at = r.connect(addr) // stays, in the place of one of those
		at.do(func(m *machine, h engine.Handle) { m.Pause(h) })
		c.Write([]byte("unread"))
	}
	r.silence(2 * d)

	// A dial has a timer too.
	r.post(0, func(m *machine) { m.Arm(m.Dial(deaf(t), patience), d) })
	e := r.next("timer")
	e.at.do(func(m *machine, h engine.Handle) { m.Close(h) })
	r.silence(d)
}
