// Package proxy is the data plane: it takes requests on the listeners of a mesh.Config, asks the filters,
// and passes each on to an instance of the service it is for. It is a machine of events. It never waits,
// and one loop's part of it needs no lock.
//
//	client ─► session ─► exchange ─► tap ─ colour, route ─ fault ─► choose ─► upstream ─► service
//	             │  one per connection         (chain.go)             │           │
//	             ◄────────── response, bytes as they come ◄───────────┴─ pool ◄───┘
//
//	session.go   bytes of a client, in order      upstream.go  events of a connection to an endpoint
//	exchange.go  one request and its answer       pool.go      connections between two uses
//	decide.go    filters and what they ask for    forward.go   which endpoint, again or not
//	request.go   body towards the service         response.go  head and body towards the client
//	finish.go    the end, exactly once            tunnel.go, linger.go, reply.go, timers.go
//	harm.go      what faults do to an exchange    pace.go, shape.go, passing.go, waking.go, lastbyte.go, cutoff.go,
//	                                              patch.go, copies.go
//	welcome.go   who gets in at all
//
// Invariants:
//   - Every Request half of a filter is followed by exactly one Response half, whoever hangs up when.
//   - A client never sees a message that looks complete and is not, unless a fault asks for that.
//   - What waits in memory for one connection is bounded: a slow reader slows its writer down.
//   - An exchange ends on the configuration it began with.
//   - A request is sent twice only when nothing can have come of the first time, or a fault asks for that.
//   - What a fault holds back goes on within 100 ms once nobody holds the fault.
package proxy
