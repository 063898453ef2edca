package conformance

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// others requires that connections are served as ever: n messages of each come back though something else
// keeps every loop busy for as long as it takes.
func others(t *testing.T, addr string, n int) {
	t.Helper()
	var clients []func() error
	for i := range size(100, 30) {
		c := dial(t, addr)
		clients = append(clients, func() error { return pingPong(c, i, n, 300) })
	}
	require.NoError(t, together(clients...))
}

// floodStarvesNobody: on each loop a connection has always more to be read, because its sender is faster
// than the Handler. Connections, posts and timers of the same loop get their turn.
func (s *suite) floodStarvesNobody(t *testing.T) {
	const flood = 1
	var mu sync.Mutex
	flooded := map[int]bool{}
	r := s.start(t, func(m *machine) hooks {
		h, floods := echoing(m), map[engine.Handle]bool{}
		echo := h.data
		h.accept = func(h engine.Handle, tag int, _, _ netip.AddrPort) {
			if tag == flood {
				floods[h] = true
				mu.Lock()
				flooded[m.index] = true
				mu.Unlock()
			}
		}
		h.data = func(h engine.Handle, b []byte) {
			if !floods[h] {
				echo(h, b)
				return
			}
			for from := time.Now(); time.Since(from) < time.Duration(len(b))/2; { // 2 GB/s: slower than loopback
			}
		}
		return h
	})
	addr, floodAddr := r.listen(0), r.listen(flood)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	defer senders.Wait()
	defer close(stop)
	eventually(t, "each loop has a flood", func() bool {
		c := dial(t, floodAddr)
		senders.Go(func() { deluge(c, stop) })
		time.Sleep(5 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		return len(flooded) == r.driver.Loops()
	})
	others(t, addr, 10)
	for i := range r.driver.Loops() {
		r.post(i, func(*machine) {})
	}
}

// deluge writes to c until stop is closed.
func deluge(c net.Conn, stop chan struct{}) {
	b := make([]byte, 256<<10)
	for {
		select {
		case <-stop:
			return
		default:
		}
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		c.Write(b)
	}
}

// postsStarveNobody: a post that posts itself again runs for ever, and beside it everything else.
func (s *suite) postsStarveNobody(t *testing.T) {
	r := s.start(t, echoing)
	addr := r.listen(0)
	var enough atomic.Bool
	defer enough.Store(true)
	for i := range r.driver.Loops() {
		var again func(engine.Loop, engine.Handler)
		again = func(_ engine.Loop, h engine.Handler) {
			defer h.(*machine).enter("Post")()
			if !enough.Load() {
				r.driver.Post(i, again)
			}
		}
		r.driver.Post(i, again)
	}
	others(t, addr, 10)
}

// timersStarveNobody: the same with timers that are due at once, again and again.
func (s *suite) timersStarveNobody(t *testing.T) {
	const restless = 1
	var fired atomic.Int64
	r := s.start(t, func(m *machine) hooks {
		h := echoing(m)
		h.accept = func(h engine.Handle, tag int, _, _ netip.AddrPort) {
			if tag == restless {
				m.Arm(h, 1)
			}
		}
		h.timer = func(h engine.Handle) {
			fired.Add(1)
			m.Arm(h, 1)
		}
		return h
	})
	addr, busy := r.listen(0), r.listen(restless)
	for range 2 * r.driver.Loops() {
		dial(t, busy)
	}
	others(t, addr, 3)
	require.Positive(t, fired.Load())
}
