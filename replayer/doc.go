// Package replayer sends the requests of a recording again: at the times of the recording, some times
// faster, or at a constant rate, in the sessions of the recording, and under the colour of a lane.
//
//	Source ─► feed ─► ahead ─► pacer ─► sessions, each on its own connection ─► target
//	          bytes   window   └──────── one loop per core ───────┐
//	          to send                                             └─► books ─► Result
//
// Invariants:
//   - Open loop. Every due time follows from the recording and the rate alone. A late answer delays
//     nothing but the next request of its own session, whose lag shows it.
//   - Three numbers per request: latency from the due time, latency from sending, and lag between.
//   - Every exchange read is in the ledger: answered, or dropped for a reason. What cannot be sent as it
//     was is not sent.
//   - Memory is bounded by Config.Window. A run that needs more is invalid, and says so.
//   - Deny by default: without a lane nothing is sent, nor to a target that does not confirm by a ticket that
//     it is that lane, unless that was asked for in so many words.
//   - Every request says that it is a replay's (lanes.StressHeader), whatever else it says.
//   - Of a run that many share (Part, replayer/fleet), each sends its own places and nothing beyond its Mark.
//   - Same recording, same seed, same run id: the same bytes are sent.
//
// A program that replays at high rates sets GOMAXPROCS to one more than the workers: a loop keeps its P while it
// sleeps until the next request is due, and the feed needs one too.
package replayer
