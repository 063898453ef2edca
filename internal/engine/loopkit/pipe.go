package loopkit

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/socket"
)

const (
	pipeSize = 256 << 10 // what a pipe is asked to hold; a kernel that refuses leaves it at 64 KiB or less
	small    = 16 << 10  // a splice of less costs more than the copy it saves
	pipeKept = 32        // pipes a loop keeps that nobody needs now
)

// A pipe is where bytes are between two splices.
type pipe struct{ r, w int }

// takePipe borrows an empty pipe; nil when there are no descriptors for one.
func (m *Mover) takePipe() *pipe {
	if n := len(m.pipes); n > 0 {
		p := m.pipes[n-1]
		m.pipes = m.pipes[:n-1]
		return p
	}
	var ends [2]int
	if unix.Pipe2(ends[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		return nil
	}
	_, _ = unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{r: ends[0], w: ends[1]}
}

// giveBack returns an end's pipe. One that still holds bytes is closed.
func (m *Mover) giveBack(e *End) {
	p := e.pipe
	if p == nil {
		return
	}
	if e.held == 0 && len(m.pipes) < pipeKept {
		m.pipes = append(m.pipes, p)
	} else {
		p.close()
	}
	e.pipe, e.held = nil, 0
}

func (p *pipe) close() {
	socket.Close(p.r)
	socket.Close(p.w)
}

// splice moves at most n bytes from one descriptor to another, one of them a pipe. Neither waits.
func splice(from, to, n int) (int, unix.Errno) {
	for {
		r, _, e := syscall.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(n), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch e {
		case 0:
			return int(r), 0
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}
