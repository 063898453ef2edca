package conformance

import (
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// A plug is the peer's end of a connection of a script: a socket that never blocks, so that one goroutine
// plays every peer and what it does has an order.
type plug struct {
	fd     int
	local  bool // a unix socket
	sent   int  // bytes the kernel took
	got    int  // bytes read
	fin    bool // sends no more
	closed bool
	rst    bool // closed with RST
	acked  bool // all that was sent had arrived before that
	outcome
}

// An outcome is how the stream from the driver ended, as the peer saw it.
type outcome byte

const (
	going outcome = iota
	ended         // FIN
	broken
)

// connectPlug opens a connection. Small windows make queues of few bytes.
func connectPlug(addr string, small bool) (*plug, netip.AddrPort, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		p := &plug{fd: fd, local: true}
		return p, netip.AddrPort{}, p.connect(&unix.SockaddrUnix{Name: path})
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	p := &plug{fd: fd}
	if small {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10)
	}
	to := netip.MustParseAddrPort(addr)
	if err := p.connect(&unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return nil, netip.AddrPort{}, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	in := name.(*unix.SockaddrInet4)
	return p, netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)), nil
}

func (p *plug) connect(to unix.Sockaddr) error {
	err := unix.Connect(p.fd, to) // waits for the kernel's half of the handshake only, never for the driver
	if err == nil {
		err = unix.SetNonblock(p.fd, true)
	}
	if err != nil {
		unix.Close(p.fd)
	}
	return err
}

// send writes what the kernel takes of n bytes of the stream. A reset shows here once, and then no more in
// read.
func (p *plug) send(seed, n int) {
	if p.fin || p.closed {
		return
	}
	for n > 0 {
		b := pattern(seed, p.sent, n)
		k, err := unix.Write(p.fd, b)
		if err != nil {
			if !p.local && p.outcome == going && !errors.Is(err, unix.EAGAIN) {
				p.outcome = broken
			}
			return
		}
		p.sent += k
		n -= k
	}
}

// read reads up to n bytes, gives them to see, and notes the end.
func (p *plug) read(n int, see func(b []byte)) {
	if p.closed || p.outcome != going {
		return
	}
	var b [32 << 10]byte
	for n > 0 {
		k, err := unix.Read(p.fd, b[:min(n, len(b))])
		switch {
		case k > 0:
			see(b[:k])
			p.got += k
			n -= k
		case err == nil:
			p.outcome = ended
			return
		case errors.Is(err, unix.EAGAIN):
			return
		default:
			p.outcome = broken
			return
		}
	}
}

func (p *plug) shut() {
	if !p.closed {
		unix.Shutdown(p.fd, unix.SHUT_WR) // fails when the driver has reset it, which read tells
		p.fin = true
	}
}

func (p *plug) close(rst bool) {
	if p.closed {
		return
	}
	p.closed, p.rst = true, rst && !p.local
	if p.rst {
		n, err := unix.IoctlGetInt(p.fd, unix.SIOCOUTQ)
		p.acked = err == nil && n == 0
		unix.SetsockoptLinger(p.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	unix.Close(p.fd)
}

// A socketLine is a listening socket for one Dial, so that it is known whose the connection is.
type socketLine struct{ fd int }

func listenPlug(small bool) (socketLine, string, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return socketLine{}, "", err
	}
	if small {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10)
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(fd, 4)
	}
	name, nameErr := unix.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		unix.Close(fd)
		return socketLine{}, "", err
	}
	in := name.(*unix.SockaddrInet4)
	return socketLine{fd}, netip.AddrPortFrom(netip.AddrFrom4(in.Addr), uint16(in.Port)).String(), nil
}

// accept is nil when nobody has connected yet.
func (l socketLine) accept() *plug {
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		return nil
	}
	return &plug{fd: fd}
}

func (l socketLine) close() { unix.Close(l.fd) }

// pattern returns up to n bytes of a stream from at on. Streams have a period that no buffer has, and
// differ from one another, so that bytes out of place are seen.
func pattern(seed, at, n int) []byte {
	from := (at + seed*7919) % patternPeriod
	return patternBytes[from:min(from+n, len(patternBytes))]
}

const patternPeriod = 65521

var patternBytes = func() []byte {
	b := make([]byte, patternPeriod)
	newStream(46).Read(b)
	return append(b, b...)
}()

// matches reports where b differs from the stream, -1 when it does not.
func matches(seed, at int, b []byte) int {
	for i := 0; i < len(b); {
		want := pattern(seed, at+i, len(b)-i)
		for j := range want {
			if want[j] != b[i+j] {
				return i + j
			}
		}
		i += len(want)
	}
	return -1
}
