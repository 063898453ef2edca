// Package engine is the line between bytes and sockets. A session machine (the Handler) decides; a
// driver owns the sockets, acts, and reports what happened.
//
//	          OnAccept OnDial OnData OnEOF OnWritable OnClosed OnTimer
//	driver ────────────────────────────────────────────────────────────► Handler
//	       ◄────────────────────────────────────────────────────────────
//	          Dial Send CloseWrite Close Reset Pause Resume Arm
//
// Invariants, the same for every driver and held by one conformance suite:
//   - All calls to the Handler of one Loop come one after the other, on any goroutine, never nested.
//     A Handler therefore needs no locks for what belongs to its loop, and must never block.
//   - Loop methods are called only from within such a call. They never block and never call back.
//   - Bytes given to OnData are valid until it returns. Bytes given to Send may be reused when Send returns.
//   - A Handle is an index and a generation: an event or a call for a connection that is gone is ignored.
package engine

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// A Handle names one connection of one loop: a small index that is used again in its low half, and the
// generation of that use in its high half. Zero names none.
type Handle uint64

// Index is the low half, so that a Handler can keep its connections in a slice: a map costs more than
// the rest of finding out whose event it is.
func (h Handle) Index() uint32 { return uint32(h) }

// A Handler is the session machine of one loop.
type Handler interface {
	// OnAccept is the first call for a connection that came in through the listener with this tag.
	OnAccept(h Handle, tag int, from, to netip.AddrPort)
	// OnDial says that the connection asked for by Dial is open. If it cannot be opened, OnClosed is
	// called instead.
	OnDial(h Handle)
	// OnData hands over bytes in order; len(b) > 0. Not called while h is paused.
	OnData(h Handle, b []byte)
	// OnEOF says that the peer will send no more. Writing may go on.
	OnEOF(h Handle)
	// OnWritable says that everything queued has gone to the kernel, after a Send that returned
	// more than 0.
	OnWritable(h Handle)
	// OnClosed is the last call for h: reset, failed dial, write error, or shutdown of the driver.
	// err is never nil. It is not called after the Handler itself closed or reset h. What the peer sent
	// before it broke off is handed over first, unless h is paused: then OnClosed may come at once, and
	// does when a write did not work, because a Handler may be waiting for OnWritable.
	OnClosed(h Handle, err error)
	// OnTimer says that the time set by Arm has come.
	OnTimer(h Handle)
}

// A Loop carries out what the Handler wants done.
type Loop interface {
	// Dial opens a TCP connection to addr (host:port with a literal IP, or unix:PATH) and gives up after
	// timeout. The outcome comes as OnDial or OnClosed, never before Dial returns. The handle can be used
	// at once: what is sent waits for the connection, Close and Reset give it up. The error of a dial that
	// took too long is a net.Error whose Timeout is true. While Run is ending, Dial returns 0 and does nothing.
	Dial(addr string, timeout time.Duration) Handle
	// Send writes b or queues what the kernel does not take. It returns how many bytes now wait, so that
	// the caller can pause whoever feeds it.
	Send(h Handle, b []byte) (waiting int)
	// CloseWrite sends FIN after everything queued; reading goes on.
	CloseWrite(h Handle)
	// Close ends the connection after everything queued has been sent; no more events come. As always with
	// TCP, bytes from the peer that nobody read turn the end into RST, which can cost the peer the last of
	// what it was sent: a Handler that answers early calls CloseWrite, and Close after OnEOF or a while.
	Close(h Handle)
	// Reset ends the connection at once with RST; what is queued is thrown away, no more events come. On a
	// unix socket the peer sees an ordinary end.
	Reset(h Handle)
	// Pause stops OnData and OnEOF for h until Resume, so that the peer feels the back-pressure.
	Pause(h Handle)
	Resume(h Handle)
	// Arm sets h's only timer to fire d from now, in place of what it was set to; d <= 0 stops it.
	Arm(h Handle, d time.Duration)
	// Now is the time of the current event. It may be cached per event, and carries a monotonic part.
	Now() time.Time
}

// A Driver runs loops. It is made with a function that makes the Handler of each loop.
type Driver interface {
	// Listen opens a listening socket on addr (host:port, port 0 picks one, or unix:PATH) whose
	// connections are reported with tag. It may be called before and during Run. Closing the Listener
	// stops accepting; open connections stay.
	Listen(addr string, tag int) (Listener, error)
	// Loops is the number of loops, fixed when the driver is made.
	Loops() int
	// Post queues f to run as an event of one loop and returns at once; for a pacer that releases
	// requests and for reloads. After Run has returned f is dropped.
	Post(loop int, f func(l Loop, h Handler))
	// Each posts f to every loop and returns when all have run it, or when Run has returned.
	Each(f func(l Loop, h Handler))
	// Run serves until ctx is done, then closes every connection (OnClosed with context.Canceled or the
	// cause), and returns once nothing it started is left. The handlers drain before ctx is cancelled,
	// not Run.
	Run(ctx context.Context) error
}

// A Listener is one listening address.
type Listener interface {
	Addr() net.Addr
	Close() error
}

// NewHandler makes the Handler of one loop.
type NewHandler func(l Loop) Handler
