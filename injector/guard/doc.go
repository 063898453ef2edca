// Package guard watches what a fault does to its lane, and to the baseline, from inside the proxy, and ends the
// fault when that is more than was allowed. Nothing is scraped, stored or asked in between:
//
//	exchanges ─► window: 2 s in slots of 100 ms ─► every 100 ms: ok, broken or missing ─► k of the last n not ok
//	  begun, ended, failed, how long                                                        └─► leases end at once
//
// Invariants:
//   - Missing data is bad data. A guard that sees too little once it has been ready trips, and a lease whose guard
//     is not ready is refused.
//   - What does not come back counts: an exchange under way for longer than the limit is a slow one already.
//   - p99 is held against its limit exactly: more than 1 % slower than the limit is p99 above it.
//   - A guard that tripped, ended or was removed leaves no lease behind that names it.
//   - With no guard and no question the filters cost one atomic load.
package guard
