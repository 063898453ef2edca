// Package goroutine is the engine driver with one goroutine per connection: portable, and the one that
// can be read with a stack trace. Readers wait for their socket in the Go runtime, then call the Handler
// under the lock of the loop the connection belongs to.
//
//	reader (one per conn) ── read ──► lock loop ► Handler ► unlock      page held only while there are bytes
//	flusher (while bytes wait) ◄── queue of pages ◄── Send ── write at once when nothing waits
//	acceptor (one per listener) ──► reader          dialler ──► becomes the reader
//	poster (one per loop) ── Post ──► lock loop ► f ► unlock
//
// Invariants:
//   - Calls of one Handler hold its loop's lock: never nested, never two at once.
//   - No socket call that can wait is made under a loop's lock.
//   - The reader closes the descriptor, after everybody else has stopped using it; who ends a connection wakes it.
//   - A connection on which nothing moves holds no page.
package goroutine
