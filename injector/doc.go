// Package injector makes coloured traffic suffer on purpose. A fault is not a state that must be undone: it
// is a lease, a row in the proxy's memory with an absolute expiry. Controller dead, network cut or proxy
// restarted all end in "no fault".
//
//	POST /faults ─► Table ─(atomic pointer)─► Filter ─► Fault.Decide ─► traffic.Action ─► engine acts
//	  renew, halt     │                          │
//	                  └─ expiry, caps            └─ chance.Stream(seed, lease, x.ID), rolled once
//
// Invariants:
//   - Only coloured traffic can be hit. A lease names a lane, and the baseline has no name.
//   - A lease strikes nothing from the instant of its expiry on, whoever else is dead.
//   - The dice are rolled once per exchange and lease, from (seed, lease, exchange): the same run makes
//     the same decisions whatever the order. What was decided stays with the exchange, also when it did
//     not strike.
//   - max_requests and max_active are exact. What they held back is counted, so that asked and delivered
//     share can be told apart.
//   - With no lease the filter costs one atomic load.
//
// A whole new fault is one file: a struct with yaml tags, its Decide, and a register line. fault_reset.go
// is the shortest to start from.
package injector
