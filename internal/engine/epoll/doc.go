// Package epoll is the engine driver with one thread per loop, made of Linux's epoll and plain system calls.
// A relayed request costs two reads, two writes, and its share of one epoll_wait.
//
//	       ┌ wait    epoll: connections, listening sockets, the Inbox; blocks only when there is nothing to do
//	one    │ events  accept │ connected │ write what is queued │ read until dry ──► Handler
//	turn   │ ready   connections that have more to do than their share of a turn
//	       └ posts, timers ──► Handler
//
// Invariants:
//   - Everything but Post, Listen, Stats and closing a Listener happens on the loop's own thread, so that
//     nothing of a loop has a lock.
//   - A connection is watched once, edge-triggered, for all it may have to say; there is no system call to
//     change that. So a loop remembers news it was told (conn.news) until it has read the socket dry.
//   - Bytes are read into one buffer of the loop, and sent from the Handler's memory: a connection with
//     nothing queued owns no buffer.
//   - A descriptor is closed by the loop that owns it, in the turn in which its connection ends. An event
//     fetched before that names a generation of the Handle that is over.
package epoll
