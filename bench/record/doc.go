// Command record measures what recording costs, how fast and how small a tape is, and what a packet capture and
// ClickHouse keep up with.
//
//	part ─► figures ─┐
//	part ─► figures ─┼─► table, goals, result: {...}
//	part ─► left out ┘
//
// A part is one file with one function in the table of its init. It gives every key that it promised, or says why
// this machine cannot measure it. It exits with 1 when it could not measure; a goal that is missed is a word
// in the table.
package main
