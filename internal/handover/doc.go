// Package handover passes the listening sockets of a running process to the one that takes its place, so
// that no client finds the door closed. protocol.go has the drawing.
//
//	running process: Open ─► Door.Run ─► Owner.Sockets … Owner.HandOver, drain, exit
//	new process:     Take ─► Taking.Sockets ─► build, serve ─► Taking.Serving ─► Open
//
// Invariants:
//   - Until the new process has said that it serves, the running one serves as if nobody had asked.
//   - A socket is accepted from at all times: both processes hold the same one, so that what waits in its
//     backlog belongs to whoever accepts next.
//   - Only a process of the same user is answered with more than a line, and only such a one is believed.
//   - Every step has a limit in time. A peer that is silent, talks nonsense or dies costs a line in the log.
package handover
