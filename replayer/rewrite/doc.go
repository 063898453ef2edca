// Package rewrite changes recorded requests where the target would not take them as they are: values that
// the target made anew, what rules say, signatures, times, and the identities of clones.
//
//	recorded response ─► Plan ─► Carry ─┐                        ┌─► Response: learned for the session
//	                                    ├─► Request ─► target ───┤
//	recorded request ─► wire ───────────┘   learned values       └─► Failed: what needs it is counted
//
// Invariants:
//   - It is pure: no I/O, no clock but the time handed in, and chance from the seed alone.
//   - A value is replaced where it is certain what it is, and nowhere else. A request that nobody understands
//     is sent as it was recorded, and one that is changed is still one request.
//   - Memory is bounded, and what is forgotten for it is counted.
//   - Nothing to do costs nothing: no rules, no carry; nothing learned, no look at the request.
package rewrite
