package conformance

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
)

// pauseStorm: Pause and Resume in quick succession, from within events and from posts between them, while
// bytes flow. Not one is lost, doubled or handed over in between.
func (s *suite) pauseStorm(t *testing.T) {
	conns, total := 16, size(2<<20, 512<<10)
	r := s.start(t, func(m *machine) hooks {
		h := echoing(m)
		data, n := h.data, 0
		h.data = func(h engine.Handle, b []byte) {
			data(h, b)
			for range n % 4 {
				m.Pause(h)
				m.Resume(h)
			}
			if n++; n%5 == 0 {
				m.Pause(h)
				m.Arm(h, 100*time.Microsecond)
			}
		}
		h.timer = func(h engine.Handle) { m.Resume(h) }
		return h
	})
	addr := r.listen(0)
	var clients []func() error
	for i := range conns {
		c := dial(t, addr)
		clients = append(clients,
			func() error { return send(c, uint64(i), total, nil) },
			func() error { return receive(c, uint64(i), total) })
	}
	done := make(chan error, 1)
	go func() { done <- together(clients...) }()
	for round := 0; ; round++ {
		select {
		case err := <-done:
			require.NoError(t, err)
			return
		default:
		}
		for i := range r.driver.Loops() {
			r.post(i, func(m *machine) {
				for h := range m.conns {
					switch round % 3 {
					case 0:
						m.Pause(h)
						m.Resume(h)
					case 1:
						m.Resume(h)
					case 2:
						m.Pause(h)
						m.Arm(h, 50*time.Microsecond)
					}
				}
			})
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// dialStorm: each of many dials to a port that refuses ends in one OnClosed, while as many to one that
// accepts come about. Afterwards the loops are as good as new.
func (s *suite) dialStorm(t *testing.T) {
	n := size(400, 100)
	accepting := upstream(t, "tcp", func(c net.Conn) { c.Read(make([]byte, 1)) })
	refusing := refusing(t)
	var opened, failed, wrong atomic.Int64
	r := s.start(t, func(m *machine) hooks {
		return hooks{
			dial: func(h engine.Handle) { opened.Add(1); m.Close(h) },
			closed: func(_ engine.Handle, err error) {
				if failed.Add(1); !errors.Is(err, syscall.ECONNREFUSED) {
					wrong.Add(1)
					t.Errorf("OnClosed says %v", err)
				}
			},
		}
	})
	loops := int64(r.driver.Loops())
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) {
			for range n {
				m.Dial(refusing, patience)
				if m.Dial(accepting, patience); wrong.Load() > 3 {
					return
				}
			}
		})
	}
	eventually(t, "all dials have ended", func() bool {
		return failed.Load() == loops*int64(n) && opened.Load() == loops*int64(n)
	})

	// One after the other: each begins in the OnClosed of the one before.
	left := make([]int, r.driver.Loops())
	var done atomic.Int64
	for i := range r.driver.Loops() {
		left[i] = n
		r.post(i, func(m *machine) {
			m.hooks.closed = func(engine.Handle, error) {
				if left[i]--; left[i] == 0 {
					done.Add(1)
				} else if left[i] > 0 {
					m.Dial(refusing, patience)
				}
			}
			m.Dial(refusing, patience)
		})
	}
	eventually(t, "the chains of dials have ended", func() bool { return done.Load() == loops })
}

// refusing is an address where nobody listens, and nobody else will: it is taken.
func refusing(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
}

// dialWithoutDescriptors: a dial that gets no descriptor fails and says so, what is open does not notice,
// and with descriptors dialling works again.
func (s *suite) dialWithoutDescriptors(t *testing.T) {
	accepting := upstream(t, "tcp", func(c net.Conn) { c.Read(make([]byte, 1)) })
	r := s.logged(t)
	addr := r.listen(0)
	c, at := r.connect(addr)
	restore := noDescriptors(t)
	for range 3 {
		for i := range r.driver.Loops() {
			r.post(i, func(m *machine) { m.Dial(accepting, patience) })
			require.ErrorIs(t, r.next("closed").err, syscall.EMFILE)
		}
	}
	_, err := r.driver.Listen(engine.Bind{Addr: "127.0.0.1:0"})
	require.ErrorIs(t, err, syscall.EMFILE)
	c.Write([]byte("ping"))
	require.Equal(t, "ping", r.nextData(4))
	at.do(func(m *machine, h engine.Handle) { m.Close(h) })
	restore()
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) { m.Dial(accepting, patience) })
		r.next("dial")
	}
	require.NotEqual(t, netip.AddrPort{}, netip.MustParseAddrPort(r.listen(0)))
}
