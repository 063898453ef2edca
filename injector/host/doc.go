// Package host makes one machine suffer on purpose: processor, memory, disk, files, processes, clock. What the
// kernel keeps does not end by itself, as a row in a proxy's memory does; so every fault has a process of its
// own that takes it back, the keeper.
//
//	POST /faults ─► Agent ─(pipe: order, renewals)─► keeper: plan ─► journal ─► arm ─► hold ─► undo
//	                  │                                 │
//	                  └─ takes over from a keeper       └─ pipe closed (the agent is dead), ttl, or 3 s
//	                     that died, from its journal       without a renewal: undo
//
// Invariants:
//   - Only what the agent's configuration names can be hit, and each target belongs to a lane that is not the
//     baseline. A lease names both.
//   - What will be taken back is written down before it is done, as data: whoever reads it can undo it, twice
//     if need be. Keeper, agent and the next agent do it in the same words.
//   - ttl is the whole life of a lease; nothing prolongs it. It also ends 3 s after the last renewal.
//   - Two live leases never change the same thing: undoing one would leave the other's value behind.
//   - Taken back is only what still is as the fault left it. What somebody else has set since stays.
//   - Never hit: pid 1, kernel threads, the agent, its parents and its keepers. A process is its number and
//     the time of its start, so that a number given again is another process.
//   - What can be held by the keeper itself (memory, processor time, unlinked files) is: the kernel takes it
//     back with the keeper, however that ends.
//
// A new fault is one file: a struct with yaml tags, its plan or its hold, and a register line. fault_pause.go
// is the shortest to start from.
package host
