// Package fleet replays one recording with many workers, as one replayer would.
//
//	            bus (NATS)
//	controller ──────────────► call, orders, T0, heartbeat, abort
//	    │  ◄────────────────── join, ready, results
//	    │  ◄── leases (KV) ─── each part: "everything before this place may have been sent"
//	    │
//	    ├── part 0: shards 0 3 6 ... ── worker a ─► replayer.Run, a Part of it
//	    ├── part 1: shards 1 4 7 ... ── worker b ─► ...
//	    └── part 2: shards 2 5 8 ... ── worker c ✗ ─ lease over ─► parts 3, 4: from the place on
//
// Every worker reads the whole recording and gives each exchange its place and its due time; it sends the
// sessions of its shards. So the requests of all workers interleave into the one exact schedule, without a word
// between them while they run.
//
// Invariants:
//   - Written down before it is sent: a worker sends what its lease says and nothing beyond. A lease is written
//     with a compare-and-swap on its revision. Whoever takes over first ends the lease with the same: from then
//     on the old worker cannot move it, whatever it believes, and the new one begins where it ended. So nothing is
//     sent twice, also by a worker that is only cut off, and no clock has a say in it.
//   - A worker that cannot renew, or does not hear the controller, comes to the end of what it may send within
//     half a second, and gives up when that lasts.
//   - Workers die few at a time. When many are silent at once it is the bus or the controller that is late: nobody
//     takes over for some seconds, and takeovers never add to what there is to do.
//   - The ledger adds up: what a part has counted before its last place is what its results have, and the
//     difference, when its worker died, is in the ledger as dropped{worker-lost}. Too much of it, or a difference
//     that nobody explains, and the run is invalid.
//   - Results are taken once: each has a number, and is repeated until it is acknowledged. Leases, clocks and orders never
//     wait for them: they have a connection, a goroutine and a lock of their own.
package fleet
