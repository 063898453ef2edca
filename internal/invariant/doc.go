// Package invariant holds checks of our own promises that run under the race detector or the build tag
// `invariant`, and cost nothing otherwise.
//
//	        -race, -tags invariant          otherwise
//	Poison  fills the buffer with 0xCC      nothing
//	Check   panics "BUG: ..." when false    nothing
//	Serial  panics on overlapping calls     nothing, and no size
//
// Invariants:
//   - On is a constant, so that code under `if invariant.On` is not compiled when it is off.
//   - A check never changes what a correct program does.
package invariant
