package uring

import (
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Probe reports whether this driver can run here: nil, or one line that says what is missing. It asks the
// kernel for its operations and then does what the driver does, once and small, because a kernel may have
// io_uring and forbid it, or have an operation and not the variant that is needed. It takes about a
// millisecond, and two seconds at most.
func Probe() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := newRing(8, 16)
	if err != nil {
		return err
	}
	defer func() { _ = r.close() }()
	if err := r.supports(opPollAdd, opSendMsg, opTimeout, opAsyncCancel, opSend, opRecv); err != nil {
		return err
	}
	b, err := newBuffers(r, groupSmall, 2, 64)
	if err != nil {
		return err
	}
	defer func() { _ = b.close() }()
	r.before = b.commit
	p := prober{r, b}
	if err := p.roundTrip(); err != nil {
		return fmt.Errorf("try io_uring: %w", err)
	}
	return nil
}

// supports asks the kernel whether it has these operations.
func (r *ring) supports(ops ...uint8) error {
	const most = 256
	var answer struct {
		probeHead
		ops [most]opProbe
	}
	if err := r.register(registerProbe, unsafe.Pointer(&answer), most); err != nil {
		return fmt.Errorf("ask io_uring for its operations: %w", err)
	}
	for _, op := range ops {
		if op >= answer.n || answer.ops[op].flags&opSupported == 0 {
			return fmt.Errorf("io_uring of this kernel lacks operation %d", op)
		}
	}
	return nil
}

type prober struct {
	*ring
	buffers *buffers
}

// roundTrip accepts a connection, gets bytes from it twice with one receive, answers, and cancels.
func (p *prober) roundTrip() error {
	ln, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(ln)
	if err := errors.Join(unix.Bind(ln, &unix.SockaddrUnix{}), unix.Listen(ln, 1)); err != nil { // a free name outside of all folders
		return err
	}
	name, err := unix.Getsockname(ln)
	if err != nil {
		return err
	}
	peer, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(peer)

	s := p.next()
	s.op, s.fd, s.len, s.opFlags, s.user = opPollAdd, int32(ln), pollMultishot, unix.POLLIN, opPollAdd
	p.poll()
	if err := unix.Connect(peer, name); err != nil {
		return err
	}
	c, err := p.expect(opPollAdd)
	if err != nil {
		return err
	}
	if c.flags&cqeFMore == 0 {
		return errors.New("poll does not go on (multishot)")
	}
	conn, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	defer unix.Close(conn)
	fd := int32(conn)

	s = p.next()
	s.op, s.flags, s.fd, s.ioprio, s.group, s.user = opRecv, sqeBufferSelect, fd, recvMultishot, groupSmall, opRecv
	for range 3 { // more often than there are buffers
		if _, err := unix.Write(peer, []byte("ping")); err != nil {
			return err
		}
		if c, err = p.expect(opRecv); err != nil {
			return err
		}
		if c.flags&(cqeFBuffer|cqeFMore) != cqeFBuffer|cqeFMore {
			return errors.New("receive does not go on, or has no buffer (multishot, buffer ring)")
		}
		id := uint16(c.flags >> 16)
		if got := string(p.buffers.get(id, int(c.res))); got != "ping" {
			return fmt.Errorf("received %q", got)
		}
		p.buffers.put(id)
	}

	pong := []byte("pong")
	s = p.next()
	s.op, s.fd, s.addr, s.len, s.opFlags, s.user = opSend, fd, addressOf(pong), uint32(len(pong)), unix.MSG_NOSIGNAL, opSend
	c, err = p.expect(opSend)
	runtime.KeepAlive(pong)
	if err != nil {
		return err
	}
	if n, _ := unix.Read(peer, make([]byte, 8)); n != int(c.res) || n != len(pong) {
		return fmt.Errorf("sent %d of %d bytes, %d arrived", c.res, len(pong), n)
	}

	s = p.next()
	s.op, s.opFlags, s.user = opAsyncCancel, cancelAny|cancelAll, opAsyncCancel
	for left := 3; left > 0; left-- { // the poll, the receive and the cancellation itself
		if c, err = p.outcome(); err != nil {
			return err
		}
		if c.flags&cqeFMore != 0 {
			return errors.New("cancelled, but goes on")
		}
	}
	return nil
}

// expect waits for an outcome of op that is not an error.
func (p *prober) expect(op uint64) (cqe, error) {
	c, err := p.outcome()
	switch {
	case err != nil:
	case c.user != op:
		err = fmt.Errorf("operation %d ended instead of %d: %w", c.user, op, unix.Errno(max(0, -c.res)))
	case c.res < 0:
		err = fmt.Errorf("operation %d: %w", op, unix.Errno(-c.res))
	}
	return c, err
}

func (p *prober) outcome() (cqe, error) {
	if p.ready() == 0 {
		p.wait(200*time.Millisecond, false)
	}
	if p.err != nil {
		return cqe{}, p.err
	}
	if p.ready() == 0 {
		return cqe{}, errors.New("nothing happens")
	}
	c := *p.at(0)
	p.advance(1)
	return c, nil
}
