package conformance

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/internal/engine"
)

// patience is how long anything may take that must happen.
const patience = 20 * time.Second

// clog is more bytes than kernels keep for a peer that does not read: Linux lets a sender have 4 MiB and a
// receiver 6 MiB unless told otherwise.
const clog = 14 << 20

// A rig is a running driver under test.
type rig struct {
	t        *testing.T
	driver   engine.Driver
	machines []*machine
	events   chan event // of a rig made by logged
	ended    atomic.Bool
	cancel   context.CancelCauseFunc
	result   chan error
}

// start runs a driver whose loops have the hooks that make returns. The test ends with Run returned and
// nothing left over.
func (s *suite) start(t *testing.T, make func(m *machine) hooks) *rig {
	t.Helper()
	r := s.prepare(t, make)
	r.run()
	return r
}

func (s *suite) prepare(t *testing.T, make func(m *machine) hooks) *rig {
	t.Helper()
	expectNoLeaks(t)
	return s.newRig(t, make)
}

func (s *suite) newRig(t *testing.T, make func(m *machine) hooks) *rig {
	t.Helper()
	r := &rig{t: t}
	r.driver = s.newDriver(func(l engine.Loop) engine.Handler {
		m := &machine{t: t, loop: l, ended: &r.ended, conns: map[engine.Handle]*life{}}
		m.hooks = make(m)
		r.machines = append(r.machines, m)
		return m
	})
	require.Equal(t, r.driver.Loops(), len(r.machines), "NewHandler must be called once for each loop")
	return r
}

func (r *rig) run() {
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel, r.result = cancel, make(chan error, 1)
	go func() {
		err := r.driver.Run(ctx)
		r.ended.Store(true)
		r.result <- err
	}()
	r.t.Cleanup(func() { r.stop(nil) })
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) { m.index = i })
	}
}

// stop ends Run and waits for it. It does nothing the second time.
func (r *rig) stop(cause error) {
	r.t.Helper()
	if r.ended.Load() {
		return
	}
	r.cancel(cause)
	select {
	case err := <-r.result:
		require.NoError(r.t, err, "Run")
	case <-time.After(patience):
		r.t.Fatalf("Run has not returned %s after its context ended\n%s", patience, stacks())
	}
	for i, m := range r.machines {
		if len(m.conns) > 0 {
			r.t.Errorf("Run has returned, and %d connections of loop %d have not heard of it", len(m.conns), i)
		}
	}
}

func (r *rig) listen(tag int) string {
	r.t.Helper()
	ln, err := r.driver.Listen(engine.Bind{Addr: "127.0.0.1:0", Tag: tag})
	require.NoError(r.t, err)
	return ln.Addr().String()
}

// post runs f as an event of one loop and waits until it has run.
func (r *rig) post(loop int, f func(m *machine)) {
	r.t.Helper()
	ran := make(chan struct{})
	r.driver.Post(loop, func(_ engine.Loop, h engine.Handler) {
		m := h.(*machine)
		defer close(ran)
		defer m.enter("Post")()
		f(m)
	})
	wait(r.t, ran, "posted function")
}

// An event is what happened to a connection of a logged rig.
type event struct {
	kind     string
	at       ref
	tag      int
	data     string
	err      error
	from, to netip.AddrPort
}

// A ref is a connection and the machine that knows it.
type ref struct {
	r *rig
	m *machine
	h engine.Handle
}

// do runs f within an event of the connection's loop.
func (c ref) do(f func(m *machine, h engine.Handle)) {
	c.r.t.Helper()
	c.r.post(c.m.index, func(m *machine) { f(m, c.h) })
}

// logged runs a driver whose events all go to r.events, and that otherwise does nothing.
func (s *suite) logged(t *testing.T) *rig {
	t.Helper()
	r := s.loggedSoon(t)
	r.run()
	return r
}

// loggedSoon is logged before run.
func (s *suite) loggedSoon(t *testing.T) *rig {
	t.Helper()
	events := make(chan event, 1<<16)
	var r *rig
	log := func(e event) {
		select {
		case events <- e:
		default:
			t.Error("more events than the test has room for")
		}
	}
	r = s.prepare(t, func(m *machine) hooks {
		at := func(h engine.Handle) ref { return ref{r, m, h} }
		return hooks{
			accept: func(h engine.Handle, tag int, from, to netip.AddrPort) {
				log(event{kind: "accept", at: at(h), tag: tag, from: from, to: to})
			},
			dial:     func(h engine.Handle) { log(event{kind: "dial", at: at(h)}) },
			data:     func(h engine.Handle, b []byte) { log(event{kind: "data", at: at(h), data: string(b)}) },
			eof:      func(h engine.Handle) { log(event{kind: "eof", at: at(h)}) },
			writable: func(h engine.Handle) { log(event{kind: "writable", at: at(h)}) },
			closed:   func(h engine.Handle, err error) { log(event{kind: "closed", at: at(h), err: err}) },
			timer:    func(h engine.Handle) { log(event{kind: "timer", at: at(h)}) },
			alarm:    func() { log(event{kind: "alarm", at: at(0)}) },
		}
	})
	r.events = events
	return r
}

// next returns the next event, which must be of this kind.
func (r *rig) next(kind string) event {
	r.t.Helper()
	select {
	case e := <-r.events:
		require.Equal(r.t, kind, e.kind, "next event (data %.40q, error %v)", e.data, e.err)
		return e
	case <-time.After(patience):
		r.t.Fatalf("no %s event\n%s", kind, stacks())
		panic("unreachable")
	}
}

// nextData collects data events until they hold n bytes.
func (r *rig) nextData(n int) (data string) {
	r.t.Helper()
	for len(data) < n {
		data += r.next("data").data
	}
	return data
}

// silence requires that nothing happens for a while.
func (r *rig) silence(d time.Duration) {
	r.t.Helper()
	select {
	case e := <-r.events:
		r.t.Fatalf("unexpected %s event (data %.40q, error %v)", e.kind, e.data, e.err)
	case <-time.After(d):
	}
}

// connect opens a connection to a logged rig and returns both of its ends.
func (r *rig) connect(addr string) (net.Conn, ref) {
	r.t.Helper()
	c := dial(r.t, addr)
	return c, r.next("accept").at
}

// dial opens a client connection that is closed when the test ends, and on which nothing waits for ever.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	network, address := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, address = "unix", path
	}
	c, err := net.DialTimeout(network, address, patience)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(3 * patience))
	return c
}

func wait(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("%s: not after %s\n%s", what, patience, stacks())
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %s\n%s", what, patience, stacks())
		}
	}
}

// expectNoLeaks compares goroutines and descriptors at the end of the test with now.
func expectNoLeaks(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the runtime opens descriptors of its own for the first socket
	require.NoError(t, err)
	ln.Close()
	goroutines, before := goleak.IgnoreCurrent(), descriptors()
	t.Cleanup(func() {
		if t.Failed() {
			return // what is left over then is no news
		}
		goleak.VerifyNone(t, goroutines)
		var after []string
		for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if after = descriptors(); len(after) <= len(before) {
				return
			}
			if time.Now().After(end) {
				t.Errorf("%d descriptors before, %d after:\n%s", len(before), len(after), strings.Join(after, "\n"))
				return
			}
		}
	})
}

// descriptors lists what this process has open. Where there is no /proc, the list is empty.
func descriptors() (open []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not the directory we just read
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}
