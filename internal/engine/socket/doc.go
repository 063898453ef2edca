// Package socket makes and uses non-blocking stream sockets by plain system calls, for the drivers that
// keep package net's poller out of the way.
//
//	"127.0.0.1:9000", "unix:/run/x" ── Parse ──► Addr ── Listen ──► Group, a socket for each loop ── Accept ──► fd
//	                                               └──── New, Connect ─────────────────────────────────────► fd
//	fd ── Read, Write, Writev, CloseWrite, Reset, Close
//
// Invariants:
//   - No call waits, but for New and Listen of a name that has an IPv6 zone, or of a unix socket's file.
//   - Errors that reach a Handler look as those of package net: *net.OpError around the system call's.
//   - A descriptor belongs to whoever got it; nothing here closes one behind its owner's back.
package socket
