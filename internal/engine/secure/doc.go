// Package secure puts TLS between any engine driver and any session machine. To the driver it is the
// Handler, to the session machine it is the Loop: neither knows that the other speaks another language.
//
//	driver ── OnData: ciphertext ──► Loop ── OnData: plaintext ──► Handler     Server(tag) says which listeners
//	       ◄── Send: ciphertext ───       ◄── Send: plaintext ───              DialTLS which connections
//	                 │ ▲
//	                 ▼ │  until the handshake is over: a goroutine, because crypto/tls keeps its state there on
//	             tls.Conn the stack; after that the loop itself, on a net.Conn of memory that never blocks
//
// Invariants:
//   - A connection that is not TLS passes through for the price of looking into a slice.
//   - OnAccept and OnDial come after the handshake. One that fails is counted by reason, and the Handler
//     hears of it only where it dialled.
//   - OnEOF means close_notify. An end without one is OnClosed with io.ErrUnexpectedEOF: anybody on the way
//     can send a FIN, and a body that ends with its connection must not be cut short unnoticed.
//   - Pause stops decrypting too. What waits, counted in Send's result, is ciphertext.
//   - At most Config.AtOnce handshakes of a loop compute at a time; one that waits for its peer does not count.
package secure
