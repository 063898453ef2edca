// Package ticket is how a target proves that it is a lane before load is sent there: whoever is about to
// send asks the very port that would get the load, and the mesh behind it answers with a signed ticket that
// soon expires. It is pure: bytes in, bytes out, and the time is handed in.
//
//	replayer ── OPTIONS *, x-redlane-challenge: NONCE LANE ──► proxy
//	   Verify ◄─ rlt1 lane=red service=gateway … sig=… ── or 403, one line why ─┘ Issue
//
// Invariants:
//   - A ticket says one thing only: at this moment the service behind the port has instances in this lane,
//     and under which rule its traffic could leave it.
//   - A text is one ticket and a ticket is one text: what Parse takes, String gives back byte for byte.
//   - A ticket answers one challenge: its nonce is the asker's, so an old answer is no answer.
//   - Every refusal says which check failed, and what was found where what was wanted.
//   - Keys rotate: any number of public keys may be good at once, and a ticket names the one it needs.
package ticket
