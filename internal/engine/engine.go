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
	"os"
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

// An Alarmed is a Handler that sets its loop's alarm.
type Alarmed interface {
	// OnAlarm says that the time set by Loop.Alarm has come.
	OnAlarm()
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
	// Alarm sets the loop's only alarm to call OnAlarm of an Alarmed Handler d from now, in place of what it was
	// set to; 0 is as soon as the present event is over, less than 0 stops it. It is never early, and as exact as a
	// thread can wait: some tens of microseconds, where Arm may take a millisecond. It costs a call of the
	// kernel that arms a timer, so it is for a schedule and not for time-outs.
	Alarm(d time.Duration)
	// Now is the time of the current event. It may be cached per event, and carries a monotonic part.
	Now() time.Time
}

// A Driver runs loops. It is made with a function that makes the Handler of each loop.
type Driver interface {
	// Listen opens what b says. It may be called before and during Run. Closing the Listener stops
	// accepting; open connections stay. See Listener.Close.
	Listen(b Bind) (Listener, error)
	// Loops is the number of loops, fixed when the driver is made.
	Loops() int
	// Post queues f to run as an event of one loop and returns at once; for a feed that has
	// requests again and for reloads. After Run has returned f is dropped.
	Post(loop int, f func(l Loop, h Handler))
	// Each posts f to every loop and returns when all have run it, or when Run has returned.
	Each(f func(l Loop, h Handler))
	// Run serves until ctx is done, then closes every connection (OnClosed with context.Canceled or the
	// cause), and returns once nothing it started is left. The handlers drain before ctx is cancelled,
	// not Run.
	Run(ctx context.Context) error
}

// A Bind is what Listen opens.
type Bind struct {
	Addr string // host:port with a literal IP, port 0 picks one; or unix:PATH
	Tag  int    // what OnAccept says of its connections

	// Redirected says that a firewall sends connections here that were meant for other addresses:
	// OnAccept's to is then where the client wanted to go (SO_ORIGINAL_DST), not where it came out.
	Redirected bool

	// Sockets are listening sockets of Addr that another process handed over, with what waits in their
	// backlogs; they are used in place of new ones. Listen works on duplicates: the caller closes these.
	Sockets []*os.File
}

// A Listener is one listening address.
type Listener interface {
	Addr() net.Addr
	// Sockets returns duplicates of its listening sockets, to be handed to the process that takes over;
	// the caller closes them. From then on Close leaves the file of a unix socket where it is.
	Sockets() ([]*os.File, error)
	// Close stops accepting. What has been accepted is told by OnAccept before it returns, or at least before
	// anything that is posted from then on, so that a drain overlooks nobody. Not for use within an event.
	// Connections that wait in the backlog while Run goes on are served, unless Sockets was called: they are
	// for whoever has the duplicates.
	Close() error
}

// A Joiner is a Loop that can move bytes between two connections without showing them to the Handler,
// where the kernel allows it without copying them (splice). Handlers ask for it by a type assertion, and
// relay by OnData and Send where it is missing.
type Joiner interface {
	// Join makes each of the two connections the source of the other, after what is queued. It returns
	// false, and changes nothing, when these two cannot be joined. From then on, until OnClosed, neither
	// has an event other than OnTimer; Arm, Close and Reset work as ever. The end of one direction is passed
	// on as CloseWrite. When both have ended, or either connection breaks, OnClosed is called for both, with
	// io.EOF after an orderly end.
	Join(a, b Handle) bool
	// Moved is how many bytes have been read from h and passed on since Join, valid until OnClosed has
	// returned. A Handler that keeps an idle timer looks whether it has grown.
	Moved(h Handle) uint64
}

// A Gatherer is a Loop that can wait for several events at once, where the kernel can. Handlers ask for it by a type
// assertion, and do without where it is missing.
type Gatherer interface {
	// Gather has a loop with nothing to do go on when n things have happened, or when at least one has and d is
	// over: fewer wake-ups, for a Handler that knows that so many answers are on their way and that does not mind when
	// each is handed over. It holds until the next call; n < 2 is as ever. The kernel counts d in microseconds.
	Gather(n int, d time.Duration)
}

// NewHandler makes the Handler of one loop.
type NewHandler func(l Loop) Handler
