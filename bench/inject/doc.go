// Command inject measures fault injection: the program as users run it, on the same machine.
//
//	controller ─► API ─► 50 proxies        how long until each of them has a fault
//	clients ─► proxy with guard ─► lanes    how long a broken lane stays broken
//	kill -9, SIGSTOP                        what is left after three seconds
//
// A part is one file that registers itself, and gives every key that it promised. Keys that no part gives are
// left out. It exits with 1 when it could not measure; a goal that is missed is a word in the table.
package main
