package conformance

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine"
)

// dialErrors: OnClosed says why there is no connection.
func (s *suite) dialErrors(t *testing.T) {
	r := s.logged(t)
	f := func(addr string, want func(error) bool) {
		t.Helper()
		r.post(0, func(m *machine) {
			if m.Dial(addr, patience) == 0 {
				t.Error("Dial returned no handle")
			}
		})
		err := r.next("closed").err
		require.True(t, want(err), "dial %q: OnClosed says %v", addr, err)
		_, port, _ := net.SplitHostPort(addr)
		require.ErrorContains(t, err, port, "dial %q", addr)
	}
	f(refusing(t), func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) })
	f("unix:"+t.TempDir()+"/nobody", func(err error) bool { return errors.Is(err, fs.ErrNotExist) })
	any := func(error) bool { return true }
	f("nowhere.invalid:80", any)
	f("127.0.0.1", any)
	f("127.0.0.1:http", any)
	f("", any)
}

// deaf listens so that no connection can be made: its backlog is full. It returns its address.
func deaf(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 0))
	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Skip("this kernel lets connections past a full backlog: cannot make a dial hang")
	return ""
}

// dialTimeout: a dial that hangs ends in time, and holds up nothing meanwhile: neither the loop nor accept.
func (s *suite) dialTimeout(t *testing.T) {
	r := s.logged(t)
	addr, to := r.listen(0), deaf(t)
	const timeout = 400 * time.Millisecond
	var from time.Time
	for i := range r.driver.Loops() {
		r.post(i, func(m *machine) {
			from = time.Now()
			m.Dial(to, timeout)
		})
	}
	for range 2 * r.driver.Loops() {
		c, at := r.connect(addr)
		c.Write([]byte("ping"))
		require.Equal(t, "ping", r.nextData(4))
		at.do(func(m *machine, h engine.Handle) { m.Close(h) })
	}
	require.Less(t, time.Since(from), timeout, "the machine is too slow for this test, or accept waited for the dial")
	for range r.driver.Loops() {
		err := r.next("closed").err
		var e net.Error
		require.True(t, errors.As(err, &e) && e.Timeout(), "OnClosed says %v, not a timeout", err)
	}
	require.GreaterOrEqual(t, time.Since(from), timeout)
}

// dialGivenUp: Close and Reset end a dial, and nothing more is heard of it.
func (s *suite) dialGivenUp(t *testing.T) {
	heard := make(chan error, 16)
	open := upstream(t, "tcp", func(c net.Conn) {
		n, err := io.Copy(io.Discard, c)
		if n > 0 {
			err = errors.New("bytes arrived")
		} else if isReset(err) {
			err = nil
		}
		heard <- err
	})
	refused := refusing(t)
	r := s.logged(t)
	hangs := deaf(t)
	for _, end := range []func(*machine, engine.Handle){(*machine).Close, (*machine).Reset} {
		for _, addr := range []string{hangs, open, refused} {
			r.post(0, func(m *machine) {
				h := m.Dial(addr, 50*time.Millisecond)
				m.Arm(h, time.Millisecond)
				end(m, h)
			})
			r.post(0, func(m *machine) {
				h := m.Dial(hangs, 50*time.Millisecond)
				r.driver.Post(0, func(engine.Loop, engine.Handler) { end(m, h) })
			})
		}
	}
	r.silence(150 * time.Millisecond)
	for {
		select {
		case err := <-heard:
			require.NoError(t, err, "what the peer saw of a dial that was given up")
		default:
			return
		}
	}
}
