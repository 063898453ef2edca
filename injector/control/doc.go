// Package control holds one fault at many proxies at once, for as long as it lives itself:
//
//	API ─► Controller ─┬─ add ─────► proxy 1      all, or none
//	                   ├─ renew, 1 s ► proxy 2      one that has lost it: ended at all
//	                   └─ guards ───► proxy n      one that tripped: ended at all
//
// Invariants:
//   - It keeps nothing that would have to be undone. Killed, or cut off, it renews no more, and three seconds later
//     there is no fault.
//   - A fault is at all its proxies or at none: a proxy that does not take it, or loses it, ends it everywhere.
//   - To stop needs no token, and is tried at every proxy whatever another one says.
package control
