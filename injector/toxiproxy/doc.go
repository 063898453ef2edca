// Package toxiproxy speaks the HTTP API of Toxiproxy, so that tests which use one of its client libraries work
// unchanged. It keeps the proxies and their toxics; connections are carried by whoever implements Carrier.
//
//	client library ─► Server ─► Carrier: listen, connect
//	                    │ set of toxics, replaced whole
//	                    ▼
//	       stream ─► Filter ─► one shaper each ─► traffic.Shape
//
// Invariants:
//   - A toxic is a lease: it ends when its ttl is over, at the latest with the process. So does enabled: false.
//   - A change reaches connections that are open. No byte is lost, doubled or moved by it, but those that a
//     toxic was asked to lose.
//   - Whether a toxic takes a connection is drawn once, from (seed, proxy, toxic, number of the connection), and
//     stays as it is whatever else changes.
//   - A connection without toxics costs one atomic load for each piece.
//
// A toxic is one file: a struct with json tags, its apply, and a register line. toxic_slow_close.go is the
// shortest to start from.
package toxiproxy
