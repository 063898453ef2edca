// Package netfault makes the network between two named network namespaces bad, or that of marked flows:
// packets are lost, doubled, late, out of order, slow, or do not arrive at all. It is for test hosts, and needs
// CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN.
//
//	 namespace shop                                                       namespace bank
//	program ─► socket ─► nftables: to bank? ─► mark ─► rule ─► TUN ─┐
//	                        ▲ no: untouched                        │ Line: lose, double, hold
//	                        └── raw socket ◄───────────────────────┘
//	                               └─► the real cable ─────────────────────► socket (or dropped: a partition)
//
// Invariants:
//   - Only what a lease names is touched: packets of one named namespace to the addresses of another, or packets
//     with a mark. The namespace of the host, and that of this program, are refused but for marked flows.
//   - A lease has an end: its ttl, 3 s without a renewal, Halt, or the death of this process by whatever cause.
//     TUN device and nftables table go with the process that holds them, and a child process, told of every step
//     before it is taken, removes the rest (Undo).
//   - The same seed gives the n-th packet of a way the same fate.
//   - A packet is never passed on before its delay is over.
//
// Line is pure: it is given the time and packets, and says which pass and when. One thread in the namespace does
// the rest.
package netfault
