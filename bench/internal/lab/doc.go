// Package lab is what the benchmarks have in common: programs on cores of their own, the CPU they spend, a load,
// samples that are taken again when they say nothing, and a report that ends in one line of JSON.
//
//	Lab ─► Start, Wrk, Backend          Report ─► Note, Table, Figure ─► Finish
//	 └──► Compare ─► Sample ─► Comparison ─► Spread ──┘
package lab
