// Package pcap reads packet captures, pcap and pcapng, into exchanges, and writes exchanges as a capture that
// other programs read.
//
//	file ─► reader ─► capture.Frame ─► capture.Assembler ─► tap (Run) or Source
//	Sink ─► one TCP connection per session ─► pcap
//
// Classic files are read and written through gopacket's pcapgo. pcapng is read here, because pcapgo's reader
// panics on some clock resolutions and folds link types above 255.
package pcap
