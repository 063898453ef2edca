// Package sockmap shortens the way of bytes between two sockets of one machine: what one writes is put
// straight into the other's receive queue, past the TCP/IP stack below both.
//
//	client            proxy             service         the same network namespace
//	┌────────┐      ┌────────┐        ┌────────┐
//	│ socket ├─────►│ socket │ socket ├───────►│        sk_msg program (redirect.go): on every write
//	└───┬────┘      └───▲────┘───┬────┘──▲─────┘
//	    ▼ TCP, IP, lo   │        ▼       │              the way not taken: small messages spare it,
//	    └───────────────┘        └───────┘              large ones, and all that is in doubt, go there
//
//	sock_ops program (admit.go): on every new connection in the cgroup; admits those that begin and end on
//	                             this machine and go to an address the proxy named (Serve), and no other
//
//	services  what the proxy named        HASH      address, port
//	conns     one entry a connection      HASH      where its two sockets are, whose they are (layout.go)
//	socks     its two sockets             SOCKHASH  by what each calls its own and its peer's address
//	counters  see Counters                PERCPU_ARRAY
//
// TCP is under it all the time: handshake, end, reset, keepalive are its own, and a message may go either way.
// Redirected bytes have a queue of their own that is read first and has no bound. So the sk_msg program
// looks at the reader's queues, and redirects only when these hold:
//   - The reader has read every byte that went by TCP. Else the message would overtake what came before.
//   - It fits into the window, half the reader's receive buffer. Else a reader that stops reading would fill the
//     kernel's memory.
//
// A message of the proxy's that does not fit is not taken at all, and the driver tries again (wall.go): a
// peer must never have bytes in both queues, because one read takes from one queue, and who waits for edges
// takes a short read for the last. A peer's message that does not fit goes by TCP, and feels TCP's
// back-pressure: nobody could tell a foreign program to try again. The proxy's drivers then know that there
// are two queues (Mixed).
//
// Invariants:
//   - Bytes arrive in order, all of them or an error, as by TCP alone; what waits redirected for one reader is
//     bounded by Window, or one message of any size.
//   - A socket that was not admitted runs no line of this package.
//   - Nothing outlives the process but what open connections still need, and that goes with the last of them.
package sockmap
