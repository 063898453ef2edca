package loopkit

import (
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/engine/socket"
)

// An End is one of two joined connections: what is read from it goes to the other. Bytes go through the
// loop's buffer while they come in small pieces, which costs two system calls for each, and through a pipe,
// without being copied, once a read fills the buffer.
//
//	end ── read ──► buffer ── write ──► other      what the kernel does not take is queued, and end waits
//	end ── splice ──► pipe ── splice ──► other     what the kernel does not take stays in the pipe, and end waits
//
// The driver watches both, says in News, Fin and Odd what it has heard, and has Move act on it.
type End struct {
	FD    int
	Queue *Queue // goes to FD before what comes from the other end; the driver sends it

	EOF  bool // nothing more to read
	Shut bool // FIN was sent, or follows Queue

	News bool // the socket may have bytes, an end or an error that nobody has read
	Fin  bool // the peer has sent FIN: a read that leaves room in the buffer has taken all that comes before it
	Odd  bool // an error or urgent data: a read that leaves room may not have taken everything

	Moved uint64 // bytes passed on

	other *End
	pipe  *pipe // nil while nothing is in flight
	held  int   // bytes in the pipe
	bulk  bool  // use the pipe
}

// Pair makes each of a and b the other's other.
func Pair(a, b *End) { a.other, b.other = b, a }

// Held is how many bytes of e are in a pipe, for which the other end had no room.
func (e *End) Held() int { return e.held }

// Lost takes the error that is pending on e, when nothing is to be read before it. For the case that Move
// does not read, because the other end takes nothing.
func (e *End) Lost() unix.Errno {
	switch {
	case !e.Odd || !e.News && !e.EOF:
		return 0
	case e.EOF: // a read returns 0 for ever; the error has to be asked for
		return socket.Err(e.FD)
	}
	if _, errno := socket.Peek(e.FD); errno != unix.EAGAIN {
		return errno
	}
	return 0
}

// A Mover moves the bytes of a loop's joined connections.
type Mover struct {
	Buf     []byte
	In, Out *uint64 // bytes read and written, counted here

	pipes    []*pipe
	noSplice bool // the kernel cannot
}

// A Result is why Move has stopped. When At is not nil it is what Act found wrong with that end.
type Result struct {
	Again bool // the end has had its share, and may have more
	Over  bool // both directions have ended, and nothing is queued
	At    *End
	Act   string
	Errno unix.Errno
}

// share is how often one end is read before the others have their turn: a quarter of a megabyte takes some
// 100 us.
const share = 4

// Move moves what e has, until it has no more, or the other takes no more, which leaves bytes in its Queue
// or in e's pipe, or e has had its share. Call it when there is news of e, and when the other has room again.
func (m *Mover) Move(e *End) Result {
	for range share {
		to := e.other
		var r Result
		switch {
		case to.Queue.Len() > 0: // goes first; when it has gone, we are called
			return r
		case e.held > 0:
			before := e.held
			if r = m.pour(e); r.At == nil && e.held == before { // no room
				return r
			}
		case e.EOF:
			if !to.Shut {
				to.Shut = true
				socket.CloseWrite(to.FD)
			}
			r.Over = to.EOF && e.Shut && e.Queue.Len() == 0
			return r
		case !e.News:
			m.giveBack(e)
			return r
		case e.bulk:
			r = m.draw(e)
		default:
			r = m.carry(e)
		}
		if r.At != nil {
			return r
		}
	}
	return Result{Again: true}
}

// carry copies what one read brings.
func (m *Mover) carry(e *End) (r Result) {
	to := e.other
	n, errno := socket.Read(e.FD, m.Buf)
	switch {
	case n > 0:
		*m.In += uint64(n)
		e.Moved += uint64(n)
		k, errno := socket.Write(to.FD, m.Buf[:n])
		*m.Out += uint64(k)
		if errno != 0 {
			return Result{At: to, Act: "write", Errno: errno}
		}
		to.Queue.Push(m.Buf[k:n])
		if n == len(m.Buf) {
			e.bulk = !m.noSplice
		} else if !e.Odd {
			e.News, e.EOF = false, e.Fin
		}
	case errno == 0:
		e.News, e.EOF = false, true
	case errno == unix.EAGAIN:
		e.News = false
	default:
		return Result{At: e, Act: "read", Errno: errno}
	}
	return r
}

// draw fills the pipe, which is empty, from e.
func (m *Mover) draw(e *End) (r Result) {
	if e.pipe == nil {
		if e.pipe = m.takePipe(); e.pipe == nil {
			e.bulk = false
			return r
		}
	}
	n, errno := splice(e.FD, e.pipe.w, pipeSize)
	switch {
	case n > 0:
		*m.In += uint64(n)
		e.held = n
		e.bulk = n >= small
	case errno == 0:
		e.News, e.EOF = false, true
	case errno == unix.EAGAIN:
		e.News = false
	case errno == unix.EINVAL:
		m.noSplice, e.bulk = true, false
	default:
		return Result{At: e, Act: "read", Errno: errno}
	}
	return r
}

// pour gives the other end what it takes of e's pipe.
func (m *Mover) pour(e *End) (r Result) {
	n, errno := splice(e.pipe.r, e.other.FD, e.held)
	if errno != 0 && errno != unix.EAGAIN {
		return Result{At: e.other, Act: "write", Errno: errno}
	}
	*m.Out += uint64(n)
	e.Moved += uint64(n)
	e.held -= n
	return r
}

// Part ends a pair. With keep, what is in its pipes is queued.
func (m *Mover) Part(e *End, keep bool) {
	for _, from := range [...]*End{e, e.other} {
		for keep && from.held > 0 {
			n, errno := socket.Read(from.pipe.r, m.Buf)
			if errno != 0 || n == 0 {
				break
			}
			from.held -= n
			from.other.Queue.Push(m.Buf[:n])
		}
		m.giveBack(from)
	}
}

// Close gives back what is kept.
func (m *Mover) Close() {
	for _, p := range m.pipes {
		p.close()
	}
	m.pipes = nil
}
