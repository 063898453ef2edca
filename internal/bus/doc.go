// Package bus is how the processes of redlane talk: NATS with JetStream, embedded in whoever leads by
// default, a cluster of one's own by URL.
//
//	Serve ─► Server (in this process) ◄─┐
//	nats://..., tls://... (a cluster) ◄─┴─ Connect ─► Bus ─► Publish, Subscribe, Request, Handle
//	                                                   ├──► KV: values with revisions, TTL, watching
//	                                                   └──► Objects: large results
//
// Invariants:
//   - What is sent is sent now or fails now: nothing waits for a lost connection to come back, where it would
//     be said when it is no longer true.
//   - A lost connection shows (Config.Changed, Bus.Up) and is made again without an end.
//   - A bus that others than this machine can reach wants credentials.
//   - Errors are one line.
package bus
