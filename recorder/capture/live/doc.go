// Package live captures packets from network interfaces through the kernel's packet ring (AF_PACKET,
// TPACKET_V3), without libpcap and without cgo. Linux only, with CAP_NET_RAW.
//
//	interface ─► filter in the kernel ─► ring of 1 MiB blocks ─► capture.Frames
//	              (cBPF: TCP ports)       (mapped, full: drops)
//
// Invariants:
//   - Each packet with data, SYN, FIN or RST is seen once, also on loopback, where the kernel shows it going and coming.
//   - A block goes to the reader when it is full or 10 ms old. Its bytes are read where the kernel put them.
//   - After Run the ledger balances: packets the filter let through = given to Frames + dropped by the kernel.
package live
