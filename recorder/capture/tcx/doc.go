// Package tcx captures TCP packets with a BPF program at the tcx hooks of an interface. The program looks at
// every packet where the kernel passes it by anyway, and copies those of the ports asked for into a ring that
// this process shares with it; nothing wakes and nothing is copied for the others.
//
//	interface ─► program (program.go)                              ring (64 MiB)      Run (source.go)
//	             ports? ──► data, or begin or end? ─► sampled in? ─► copy ──────────► Frame ─► Frames
//	               │ no          │ no                    │ no          │ no room
//	             not seen      empty                  sampled out     ring full         all of them counted
//
// On the loopback interface the program stands at ingress only, where each packet passes once; on others at
// ingress, before other programs, and at egress, behind them. It sees what the stack sees: packets that the
// card or the kernel joined, up to 64 KiB and with BIG TCP 512 KiB, are copied whole. IPv4 and IPv6, in up to two VLANs.
//
// Frames begin with the IP header and come in the order in which the kernel saw the packets.
//
// Invariants:
//   - The program changes no packet and ends no chain: what stands behind it sees every packet too.
//   - Every packet of the ports is delivered, or counted under the reason why not; packets and bytes
//     counted in the kernel and delivered here balance when Run has returned (Source.Ledgers).
//   - A connection is sampled whole, both directions, by its addresses, ports and the seed.
//   - The program is held by a link of this process: however that ends, the kernel takes it off.
package tcx
