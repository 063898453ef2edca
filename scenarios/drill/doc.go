// Package drill runs fault drills: the same recorded requests go into a control lane and into a faulted lane at the
// same instants, a fault is armed in the one, and the verdict is the difference of the two, held against the
// difference they show without a fault (A/A).
//
//	tape ─┬─► control lane ─► windows ─┐            steady │ fault │ recovery
//	      └─► faulted lane ─► windows ─┴─ difference ─────►│◄─────►│   ─► verdict
//	                  ▲
//	method: POST /faults ... DELETE /faults    watch: leases, baseline and guard, every 100 ms
//
// An experiment is a file of the Chaos Toolkit that stock `chaos run` takes as well: actions and probes are of its
// http and process providers, and what only redlane knows stands in an extension called redlane.
//
// Invariants:
//   - Before a fault is armed everything that can be known to be wrong has been looked at (preflight), and the brake
//     has been pulled once on a lease that strikes nothing.
//   - Whatever ends a drill, rollbacks run, and no lease of it is live when Run returns; else Run says so.
//   - A window holds the requests that were due in it: the same ones in both lanes.
//   - The judging is a pure function of the windows.
package drill
