// Package injector makes coloured traffic suffer on purpose. A fault is not a state that must be undone: it
// is a lease, a row in the proxy's memory with an absolute expiry. Controller dead, network cut or proxy
// restarted all end in "no fault".
//
//	POST /faults ─► Table ─(atomic pointer)─► Filter ─► Fault.Decide ─► traffic.Action ─► engine acts
//	  renew, halt     │                          │                             │
//	                  └─ expiry, caps            │                             └─ Grip: asks whether the lease still is
//	                                             └─ scope; chance.Stream(seed, lease, x.ID), rolled once
//
// Invariants:
//   - Only coloured traffic can be hit. A lease names a lane, and the baseline has no name.
//   - A lease strikes nothing from the instant of its expiry on, whoever else is dead: its ttl is its whole life, and
//     it ends three seconds after nobody renewed it any more. What it held back then goes on (traffic.Grip).
//   - Over the network, to start or renew takes a drill token (package token) and to stop takes nothing. A lease that
//     names a guard (package guard) ends with it; package control holds one at many proxies.
//   - The dice are rolled once per exchange and lease, from (seed, lease, exchange): the same run makes
//     the same decisions whatever the order. What was decided stays with the exchange, also when it did
//     not strike. Exchanges without an id of their own share the luck of their connection out evenly.
//   - What a strike began ends with its lease: whoever waits goes on, bytes that were held pass.
//   - max_requests and max_active are exact. What they held back is counted, so that asked and delivered
//     share can be told apart.
//   - With no lease the filter costs one atomic load.
//
// A whole new fault is one file: a struct with yaml tags, its Decide, and a register line. fault_throttle.go
// is the shortest to start from.
package injector
