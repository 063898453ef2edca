// Package envoy is the dialect of Envoy's fault filter: a request says in its own headers what is to go wrong with
// it. Here that takes more than headers, which any client can send:
//
//	x-lane: red                               only coloured traffic can be hit
//	x-redlane-drill: rdt1:lanes=red:…         a drill token that names the lane
//	x-envoy-fault-delay-request: 50           milliseconds
//	x-envoy-fault-delay-request-percentage: 10
//
// Nothing of it can be orphaned: it lives in one request. A halt ends what is under way, and what tokens of before
// the halt still ask for.
//
// Invariants:
//   - Without a good token the headers mean nothing, and are counted.
//   - The token goes no further: services do not see it.
//   - The dice are rolled once for each exchange and fault, from (seed, fault, exchange).
package envoy
