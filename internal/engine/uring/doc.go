// Package uring is the engine driver on Linux's io_uring, from kernel 6.1 on; Probe tells whether it can be
// used. A loop is a thread that makes one system call for all it has to say and all there is to hear:
//
//	       ┌ enter     operations of the last turn go in; waits only when there is nothing to do
//	one    │ outcomes  received ► Handler │ sent │ connected │ connections to accept
//	turn   │ posts, timers ► Handler
//	       │ settle    what was resumed, dialled, reset ► Handler; receives that have to be started again
//	       └ flush     one send for each connection that has bytes to send
//
// A connection has one receive under way for as long as it lives: the kernel fills a buffer of the loop
// whenever bytes arrive, OnData sees it there, and the kernel has it back with the next enter. An idle
// connection owns no buffer.
//
// # Bulk
//
// What a turn does for each 4 KiB costs more than the bytes once they come in great numbers. A connection
// that has filled small buffers is received into large ones, one operation for each, until its messages
// have been short for a while. And a large Send is a system call at once, with the bytes where they lie:
// the copy would cost more. Together that took a third off the CPU time of 1 MiB responses and a sixth or
// more off that of 64 KiB ones, with 16 and with 64 connections: they cost about what they do with epoll or
// less, where they had cost 14 to 70 % more.
//
// The kernel could pack messages into large buffers by itself (IOU_PBUF_RING_INC). We do not let it: an
// outcome then says how much came and not where it lies, which follows from all outcomes before it, and
// those of receives that end are told later than those of receives that go on. One mistake there and a
// connection is shown the bytes of another.
//
// Joined connections are not received by the ring at all: it tells of news, and loopkit.Mover moves the
// bytes by splice, which costs a quarter of a relay by OnData and Send.
//
// # When bytes count as sent
//
// Send copies what is small, and what one turn sends to a connection goes to the kernel in one operation at
// its end. So Send cannot know what the kernel takes. On an open connection it counts up to one page (27
// KiB) that the kernel has not confirmed as taken, and returns 0; a socket's buffer is rarely smaller, and
// a Handler that sends an ordinary response is not made to wait for OnWritable. Beyond that, and while a
// connection is being dialled, it returns all that is not confirmed, until OnWritable says that everything
// is. Bytes that counted as taken are lost only as a kernel's are: with Reset, or with a connection that
// breaks, which OnClosed tells. Close and CloseWrite come after them.
//
// # Memory
//
// Each loop has 132 KiB of rings and 2.0 MiB of receive buffers unless Config says otherwise. When all
// buffers of a kind are full, bytes wait in their sockets for the next turn, and Driver.Starved counts it. A
// connection that is sending owns one page, or as many as it takes to hold what Send has reported as
// waiting. A paused connection owns what came before its receive was cancelled: 64 small buffers at most or
// one large one, and none unless the peer kept sending. The kernel charges its share to the cgroup, before
// 5.12 to RLIMIT_MEMLOCK.
//
// Invariants:
//   - Everything but Post, Listen, Stats and closing a Listener happens on the loop's own thread. The kernel
//     insists on it for the ring.
//   - A descriptor is closed, and an id used again, only when the last operation on it has ended.
//   - What the kernel reads stays where it is until the outcome: pages of a queue are consumed, not moved.
//   - No send waits in the kernel: see awaitRoom.
//   - A call that may wait is made through the scheduler, and only when there is nothing to do: the collector
//     would have to wait for it otherwise.
package uring
