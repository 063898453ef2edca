// Package conformance is the one suite that every engine driver must pass. It tests the contract written
// in package engine and knows nothing of how a driver keeps it.
//
//	test ── sockets of package net ──► driver ──► machine ──► hooks of the test
//	                                      ▲          │ checks every event and every call:
//	                                      └── calls ─┘ one at a time, in order, none too many
//
// Fuzz plays scripts made of its input on the same machines: what both ends of each connection have done says
// what may come next, and what must.
//
// Invariants:
//   - Every event of every test passes through a machine, so that a rule broken in any test is seen,
//     whatever that test is about.
//   - Every test ends with Run returned, and with the goroutines and descriptors it started with.
//   - Nothing is judged by speed, but in RunGC, which says why. Waits end early when what they wait for has come.
package conformance
