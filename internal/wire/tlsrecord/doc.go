// Package tlsrecord reads recorded TLS 1.2 and 1.3 with the secrets of a key log: bytes of both directions in,
// the plaintext of the application out. It does no I/O and keeps nothing but what one connection needs.
//
//	client ─► record ─► handshake: random, suite, version ─┐
//	server ─► record ─► handshake ─────────────────────────┴─► secrets of the key log ─► AEAD ─► plaintext
//
// It verifies nothing but that records are what their keys say: certificates and Finished messages are those
// of a connection that has long been. The AEAD suites are read; others, early data (0-RTT) and renegotiation
// end a connection with an Error that says so.
package tlsrecord
