// Package scenarios reads, checks and runs scenario files: services, steps on a time line, expectations.
// It is where the product's parts are wired together; the parts do not know one another.
//
//	scenario.yaml ─► Load ─► Check ─► Run ─► reports.Run
//	                           │        ├─ mesh: one proxy, a listener for each edge
//	                           │        ├─ steps: start, record, replay, inject (verb_*.go)
//	                           │        └─ observe: what callers saw, per second, edge and lane
//	                           └─ every mistake, before a socket opens
//
// Invariants:
//   - Check opens nothing; what it lets pass fails only for reasons outside the file.
//   - Run owns every process, socket and goroutine it starts, and ends them all.
//   - A verb is one file: its keys, its checks, what it does.
package scenarios
