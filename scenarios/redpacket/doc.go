// Package redpacket is the sample system that redlane is shown and tested with: people shake their phones,
// some win a packet, and the money lands in their account. It is a plain application of net/http servers,
// each a process of its own, that knows of lanes what any well-behaved application does: it forwards the
// headers.
//
//	           POST /shake             POST /shake          POST /open            POST /credit
//	user ─────────────────► gateway ───────────────► shake ─────────────► packet ──────────────► account
//	           GET /balance    │     checks user       takes a seed          opens it               │
//	                           └──────────────────────── GET /balance ──────────────────────────────┘
//
// Invariants, which every service reports about itself on GET /invariants, also while faults strike:
//   - A seed is handed out once; a user gets at most three, and one for each shake that won.
//   - Money is conserved: budget = in the pool + in flight + credited.
//   - Every credited packet was opened, once; a credit repeated with the same packet changes nothing.
//   - Nothing crosses lanes: a service refuses and counts colours and ids of another lane. Ids made in a
//     lane carry it (red.p17), and so do the accounts of a lane.
//
// A call whose outcome is not known (timeout, reset, an answer that is not the service's own) is neither
// undone nor forgotten: the seed or the credit stays in flight and is settled by repeating the call.
package redpacket
