// Package loopkit is what the drivers' loops are made of: names for connections, timers, what was posted
// from outside, bytes that wait to be written, and bytes that go from one socket to another unseen.
//
//	Table   handle ► connection, or nothing when it is over
//	Wheel   a timer for each connection; moving one later or stopping it writes a number
//	Inbox   posts of any goroutine ► the loop, woken by an eventfd when it sleeps
//	Queue   bytes the kernel did not take, in pages that are given back as they are written
//	Mover   two joined connections (End, Pair): read and write, or splice through a pipe
//
// Invariants:
//   - Table, Wheel, Queue and Mover belong to one loop and have no locks. Put of an Inbox is for everybody.
//   - A connection with nothing to wait for owns no page and is in no list of the Wheel.
//   - Nothing allocates once it has reached its size, but a page when the pool has none.
package loopkit
