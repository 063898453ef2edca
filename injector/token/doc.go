// Package token is what it takes to start a fault from outside a process: a line of text, signed with Ed25519,
// that names lanes and soon expires. To stop a fault takes nothing.
//
//	redlane inject token --key drill.key --lane red --for 1h
//	  ─► rdt1:lanes=red:issuer=alice:nbf=…:exp=…:key=…:sig=…  ─► x-redlane-drill ─► Verify(keys of the mesh)
//
// It is pure: bytes in, bytes out, and the time is handed in. A text is one token and a token is one text: what
// Parse takes, String gives back byte for byte. There are no blanks in it and nothing that a shell would change,
// so that it fits a header and the environment alike. Keys are files as those of lane tickets (lanes/ticket), and
// rotate in the same way.
package token
