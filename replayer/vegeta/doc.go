// Package vegeta sends the requests of a replay through the library of vegeta (tsenart/vegeta v12.13.0), and so
// through net/http: for those who want to see what a client in Go sees.
//
//	replayer: pacer ─► session ─► Dial, Send ─┐          ┌─► Targeter ─► http.Transport ─► target
//	                              as to any   ├► queue ──┤   one of the workers
//	          books  ◄─ OnData ◄── engine     │          └── Pacer: a tick for each request in the queue
//	                              ◄───────────┴── answer, made into bytes again
//
// It is an engine.Driver whose connections are not real: a session still waits for its own answer and keeps its
// order, plan, due times, time-outs, ledger and results are those of every replay. What is different:
//
//   - net/http has the connections. A session does not keep its own, and the number of connections in the result
//     is that of sessions.
//   - Not byte for byte: headers are sorted, chunks become a length, HTTP/1.0 becomes 1.1, trailers are lost. The
//     request-target, the names of headers and their case are as recorded. Nothing is added: no User-Agent, no
//     Accept-Encoding, and none of the X-Vegeta headers.
//   - The kinds of error are fewer: what net/http cannot do, connecting and refusing to send included, is a reset.
//   - http only. Answers are held in memory until they are whole.
//
// Vegeta's own pacing is not used: it binds no request to its slot, and with a limit of workers it bursts and
// forgets the lag. Its Pacer hands out a tick when a request is due, and its Targeter takes the request with its
// due time.
package vegeta
