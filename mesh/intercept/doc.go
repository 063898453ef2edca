// Package intercept has the kernel redirect outgoing connections to the proxy, so that programs need not
// know of it. It talks to nf_tables itself; the nft program is not needed, but shows the same rules.
//
//	program ── connect 10.0.0.5:80 ──► table inet redlane ──► 127.0.0.1:15001, the proxy
//	proxy ──── connect 10.0.0.5:80 ──► its uid: untouched ──► 10.0.0.5:80
//
// Invariants:
//   - Everything is in one table, named redlane, that nobody else writes to. Off removes it whole, and On
//     replaces it whole, in one transaction: there is no moment with half of the rules.
//   - The proxy is told apart by the user it runs as. The kernel knows that of every socket, whoever opened
//     it and however, and the proxy needs no privilege for it; a mark (SO_MARK) would need CAP_NET_ADMIN in
//     the proxy and a call for each connection, and one forgotten would be a loop.
//   - The rules stay when the proxy dies. Connections are then refused until it is back, or until Off.
package intercept
