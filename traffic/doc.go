// Package traffic holds the words every other package speaks: what an exchange is, what a filter may
// decide about it, and how the books are kept. It is data only. It opens nothing, waits for nothing and
// imports nothing of redlane.
//
//	            Request(x) Action                 Response(x)
//	client ──► tap ─► lane ─► fault ─► forward ─► service
//	       ◄── tap ◄─ lane ◄─ fault ◄──────────── service
//
// Invariants:
//   - Byte slices inside an Exchange belong to whoever filled it. They are valid until the Response half
//     of the chain has returned, or until the next call of Source.Next. Copy what must live longer.
//   - A Filter decides and an engine acts: nothing here sleeps or touches a socket.
//   - Every stage that handles exchanges keeps a Ledger, and every Ledger balances.
package traffic
