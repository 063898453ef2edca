// Package capture turns packets into exchanges: it puts TCP streams together, reads HTTP/1.1 from both
// directions and pairs requests with responses. Where bytes are missing it says so and never guesses.
//
//	Frame ─► layers ─► stream of a direction ─► http1 ─► exchange ─► recorder.Tap
package capture
