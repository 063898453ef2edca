package conformance

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// timersKeepTime: of many timers, among others that never fire, none is early, which the machine checks, and
// half of them are late by less than somebody would notice. The limit is far from what any driver needs
// (1 ms), so that a busy machine does not fail the test and a timer that waits for the next event does.
func (s *suite) timersKeepTime(t *testing.T) {
	const usual = 50 * time.Millisecond
	n := size(300, 100)
	var mu sync.Mutex
	var late []time.Duration
	r := s.start(t, func(m *machine) hooks {
		draw, due := rand.New(rand.NewPCG(45, 0)), map[engine.Handle]time.Time{}
		return hooks{
			accept: func(h engine.Handle, tag int, _, _ netip.AddrPort) {
				d := time.Hour
				m.Arm(h, d)
				if tag == 0 {
					d = time.Duration(draw.Int64N(int64(300 * time.Millisecond)))
					m.Arm(h, max(d, 1))
				}
				due[h] = m.Now().Add(d)
			},
			timer: func(h engine.Handle) {
				mu.Lock()
				defer mu.Unlock()
				late = append(late, time.Since(due[h]))
			},
		}
	})
	addr, far := r.listen(0), r.listen(1)
	for range n {
		dial(t, addr)
		dial(t, far)
	}
	eventually(t, "all timers have fired", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(late) == n
	})
	slices.Sort(late)
	t.Logf("late by %s (median), %s (the latest)", late[n/2], late[n-1])
	require.Less(t, late[n/2], usual)
}

// idleTimeout: a timer that every event moves on does not fire while there are events, and ends the
// connection when there are none.
func (s *suite) idleTimeout(t *testing.T) {
	const idle = 400 * time.Millisecond
	r := s.start(t, func(m *machine) hooks {
		h := echoing(m)
		data := h.data
		h.accept = func(h engine.Handle, _ int, _, _ netip.AddrPort) { m.Arm(h, idle) }
		h.data = func(h engine.Handle, b []byte) { m.Arm(h, idle); data(h, b) }
		h.timer = func(h engine.Handle) { m.Close(h) }
		return h
	})
	addr := r.listen(0)
	var clients []func() error
	for i := range 20 {
		c := dial(t, addr)
		clients = append(clients, func() error {
			for range 12 {
				if err := pingPong(c, i, 1, 10); err != nil {
					return err
				}
				time.Sleep(idle / 8)
			}
			_, err := io.ReadAll(c) // until the end of the idle connection
			return err
		})
	}
	require.NoError(t, together(clients...))
}

// headerTimeout: a timer that no event moves fires though there is always something else to do: bytes keep
// coming, one at a time, as from a client that wants to hold the connection for ever.
func (s *suite) headerTimeout(t *testing.T) {
	r := s.start(t, func(m *machine) hooks {
		return hooks{
			accept: func(h engine.Handle, _ int, _, _ netip.AddrPort) { m.Arm(h, 150*time.Millisecond) },
			timer:  func(h engine.Handle) { m.Reset(h) },
		}
	})
	addr := r.listen(0)
	var clients []func() error
	for range 10 {
		c := dial(t, addr)
		clients = append(clients, func() error {
			for {
				if _, err := c.Write([]byte("x")); isReset(err) {
					return nil
				} else if err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	require.NoError(t, together(clients...))
}
