// Package selection chooses what of a recording is replayed: a time window, whole sessions by share,
// requests by what they are, and how often.
//
//	recording ─► window ─► share ─► only ─► except ─► pass ─► replayer
//	    ▲          │         │        │        │        │
//	    │          └─────────┴────────┴────────┘        └ start moved, sessions of its own
//	    │                    filtered, counted by reason
//	    └── again, until there have been enough passes
//
// Invariants:
//   - What was read is either handed on or filtered for one reason, the first that applies. What lies before the
//     window on a tape is not read, and so in no book.
//   - A share takes whole sessions, the same ones for the same seed, in every pass and on every worker.
//   - No session of one pass is a session of another (but for a chance of 2^-64 for each two), and every pass
//     begins one mean gap after the last request of the pass before it.
package selection
