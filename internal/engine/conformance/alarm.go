package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// alarm: it comes once, never early, which the machine checks, and a new one takes the place of the old.
func (s *suite) alarm(t *testing.T) {
	r := s.logged(t)
	f := func(min, max time.Duration, alarms ...time.Duration) {
		t.Helper()
		from := time.Now()
		r.post(0, func(m *machine) {
			for _, d := range alarms {
				m.Alarm(d)
			}
		})
		require.Same(t, r.machines[0], r.next("alarm").at.m)
		took := time.Since(from)
		require.True(t, took >= min && took < max, "set to %v, came after %v", alarms, took)
	}
	f(0, patience/2, 0)
	f(1, patience/2, 1)
	f(100*time.Microsecond, patience/2, 100*time.Microsecond)
	f(20*time.Millisecond, patience/2, 20*time.Millisecond)
	f(200*time.Millisecond, patience/2, 10*time.Millisecond, 200*time.Millisecond)
	f(20*time.Millisecond, patience/2, time.Hour, 20*time.Millisecond)
	f(20*time.Millisecond, patience/2, time.Hour, -1, 20*time.Millisecond)
	f(0, patience/2, time.Hour, 0)

	// Set anew by a later event.
	r.post(0, func(m *machine) { m.Alarm(50 * time.Millisecond) })
	f(100*time.Millisecond, patience/2, 100*time.Millisecond)
	r.post(0, func(m *machine) { m.Alarm(50 * time.Millisecond) })
	r.post(0, func(m *machine) { m.Alarm(-1) })
	r.silence(100 * time.Millisecond)

	// Each loop has its own, and no connection's timer is it.
	_, at := r.connect(r.listen(0))
	at.do(func(m *machine, h engine.Handle) { m.Arm(h, time.Millisecond) })
	r.next("timer")
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) { m.Alarm(10 * time.Millisecond) })
	}
	rang := map[int]bool{}
	for range r.driver.Loops() {
		rang[r.next("alarm").at.m.index] = true
	}
	require.Len(t, rang, r.driver.Loops())
	r.silence(30 * time.Millisecond)
}

// alarmTicks: a loop that sets its alarm in OnAlarm goes on for as long as it wants, while connections are served.
func (s *suite) alarmTicks(t *testing.T) {
	n := size(2000, 500)
	ticks, done := 0, make(chan struct{})
	r := s.start(t, func(m *machine) hooks {
		return hooks{
			data: func(h engine.Handle, b []byte) { m.Send(h, b) },
			alarm: func() {
				switch ticks++; {
				case ticks == n:
					close(done)
				case ticks%3 == 0:
					m.Alarm(0)
				default:
					m.Alarm(100 * time.Microsecond)
				}
			},
		}
	})
	c := dial(t, r.listen(0))
	from := time.Now()
	r.post(0, func(m *machine) { m.Alarm(0) })
	buf := make([]byte, 4)
	for range n / 10 {
		_, err := c.Write([]byte("ping"))
		require.NoError(t, err)
		_, err = c.Read(buf)
		require.NoError(t, err)
	}
	wait(t, done, "last alarm")
	require.GreaterOrEqual(t, time.Since(from), time.Duration(n/3*2-2)*100*time.Microsecond)
}

// alarmAtTheEnd: Run does not wait for an alarm, and none comes after it.
func (s *suite) alarmAtTheEnd(t *testing.T) {
	r := s.logged(t)
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) { m.Alarm(time.Hour) })
	}
	r.stop(nil)
	r = s.logged(t)
	r.post(0, func(m *machine) { m.Alarm(5 * time.Millisecond) })
	r.stop(nil)
	time.Sleep(20 * time.Millisecond) // the machine complains of events after Run
}
