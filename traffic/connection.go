package traffic

import (
	"crypto/tls"
	"net/netip"
)

// A ConnFilter also decides about connections, before anything of them was read. The chain asks for this ability
// once, when it is built. No colour is known yet, but the lane of an instance that calls through a listener of its own.
type ConnFilter interface {
	Filter
	Connection(c *Connection) Welcome
}

// A Connection that a client has just opened.
type Connection struct {
	Session  uint64 // of all exchanges to come
	Src, Dst string // calling and called service; Src is empty when the caller is unknown
	SrcLane  Color
	SrcAddr  netip.AddrPort
	TLS      bool // the service is spoken to in TLS
}

// A Welcome is what becomes of a Connection. The zero Welcome lets it in.
type Welcome struct {
	Refuse      bool             // TCP reset
	Stall       bool             // it is kept open and nothing is read from it: a handshake never gets on
	Certificate *tls.Certificate // presented in place of the service's own
	Grip        Grip             // of Stall; where it is over, the connection goes on
}
