package conformance

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/invariant"
)

// RunGC tests that the garbage collector and the loops do not hold one another up, neither while the loops
// sleep nor under load. A driver that blocks where Go's scheduler does not see it makes a collection wait
// for the loop (1 ms with a processor to spare, 60 ms without, measured with epoll_wait through RawSyscall),
// and with it everything that the collection has stopped.
//
// newDriver should make one loop. This is the one test of the suite that asserts a time. It may, because what
// it guards against shows nowhere else: no byte is lost, no event is missing, only the tail of the latency
// grows. To hold on a busy machine it does the same before without the driver, with goroutines that sleep and
// clients that talk straight to the upstream. Where that is slow too the machine is too busy to tell, and
// the test is skipped; it fails when three times in a row only the driver was slow.
func RunGC(t *testing.T, newDriver func(engine.NewHandler) engine.Driver) {
	if invariant.On {
		t.Skip("the race detector has times of its own")
	}
	s := &suite{newDriver}
	for _, load := range []bool{false, true} {
		t.Run(map[bool]string{false: "Idle", true: "Loaded"}[load], func(t *testing.T) {
			busy, wrong := false, ""
			for range 3 {
				var told bool
				wrong, told = s.collect(t, load)
				if told && wrong == "" {
					return
				}
				busy = busy || !told
			}
			if busy {
				t.Skip("this machine is too busy to tell")
			}
			t.Fatalf("three times: %s", wrong)
		})
	}
}

const (
	stallMax    = 5 * time.Millisecond
	collections = 50
	beat        = time.Millisecond
)

// collect measures without the driver and with, and says what was too slow, if that can
// be told.
func (s *suite) collect(t *testing.T, load bool) (wrong string, told bool) {
	hearts := &hearts{}
	relay := &relay{limit: 64 << 10, upstream: upstream(t, "tcp", echo)}
	r := s.prepare(t, func(m *machine) hooks { return hearts.hooks(m, relay.hooks(m)) })
	heartAddr, addr := r.listen(heart), r.listen(0)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(r.driver.Loops() + 1)) // as the proxy runs
	n := 4 * r.driver.Loops()                                          // so that no loop is without a heart
	runtime.GC()                                                       // what other tests left behind

	ordinary := func() (late, gc time.Duration) {
		stop := make(chan struct{})
		var beating sync.WaitGroup
		for range n {
			beating.Go(func() { hearts.sleep(stop) })
		}
		defer beating.Wait()
		defer close(stop)
		return hearts.measure(t, load, relay.upstream)
	}
	late0, gc0 := ordinary()
	r.run()
	for range n {
		dial(t, heartAddr)
	}
	late, gc := hearts.measure(t, load, addr)
	t.Logf("a loop is late by %s (p99), a goroutine by %s; a collection takes %s (p90), without loops %s", late, late0, gc, gc0)
	switch {
	case late <= stallMax && gc <= stallMax:
		return "", true
	case late0 > stallMax/2 || gc0 > stallMax/2:
		return "", false
	}
	return fmt.Sprintf("a loop is late by %s, a collection takes %s; neither should by more than %s", late, gc, stallMax), true
}

// measure collects garbage again and again, with clients at addr if there is to be load. There are too few
// collections for a 99th percentile that is more than their slowest.
func (hs *hearts) measure(t *testing.T, load bool, addr string) (late99, gc90 time.Duration) {
	var clients sync.WaitGroup
	var stop atomic.Bool
	defer clients.Wait()
	defer stop.Store(true)
	for i := range 4 { // up to 800 messages a second each, 4 events a message
		if !load {
			break
		}
		c := dial(t, addr)
		clients.Go(func() {
			for !stop.Load() {
				if err := pingPong(c, i, 1, 400); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(beat)
			}
		})
	}
	hs.take()
	var took []time.Duration
	for range collections {
		time.Sleep(4 * beat)
		from := time.Now()
		runtime.GC()
		took = append(took, time.Since(from))
	}
	time.Sleep(4 * beat)
	return percentile(hs.take(), 99), percentile(took, 90)
}

// sleep is a heart that no driver beats.
func (hs *hearts) sleep(stop chan struct{}) {
	for {
		due := time.Now().Add(beat)
		select {
		case <-time.After(beat):
		case <-stop:
			return
		}
		hs.note(due)
	}
}

func (hs *hearts) note(due time.Time) {
	late := time.Since(due)
	hs.mu.Lock()
	hs.late = append(hs.late, late)
	hs.mu.Unlock()
}

const heart = 1 // the tag of connections that only have a timer

// hearts collects how late the timers of a driver are, seen from within its loops.
type hearts struct {
	mu   sync.Mutex
	late []time.Duration
}

func (hs *hearts) hooks(m *machine, others hooks) hooks {
	due := map[engine.Handle]time.Time{}
	arm := func(h engine.Handle) {
		m.Arm(h, beat)
		due[h] = m.Now().Add(beat)
	}
	accept, eof := others.accept, others.eof
	others.accept = func(h engine.Handle, tag int, from, to netip.AddrPort) {
		if tag == heart {
			arm(h)
		} else {
			accept(h, tag, from, to)
		}
	}
	others.timer = func(h engine.Handle) {
		hs.note(due[h])
		arm(h)
	}
	others.eof = func(h engine.Handle) {
		if due[h].IsZero() {
			eof(h)
		} else {
			m.Close(h)
		}
	}
	return others
}

func (hs *hearts) take() []time.Duration {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	taken := hs.late
	hs.late = nil
	return taken
}

func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)*p/100, len(d)-1)]
}
