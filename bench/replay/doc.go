// Command replay measures what the replayer costs and how well it keeps a schedule: the program as users run it,
// with a tape on disk, against nginx on the same machine, beside wrk and the vegeta library.
//
//	tape ─► redlane replay ─┐
//	wrk ────────────────────┼─► nginx, one worker     in turn, round by round; nginx and driver count the same
//	vegeta, as a library ───┘
//
// A part is one file that registers itself, and gives every key that it promised. Keys that no part gives are
// left out. It exits with 1 when it could not measure; a goal that is missed is a word in the table.
package main
