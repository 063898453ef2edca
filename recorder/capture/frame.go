package capture

import (
	"net/netip"

	"github.com/google/gopacket/layers"
)

// A Frame is one captured packet.
type Frame struct {
	Time   int64           // Unix nanoseconds
	Link   layers.LinkType // what Data begins with
	Data   []byte          // valid until the call it is given to returns
	Length int             // bytes on the wire: more than len(Data) where the capture cut it
	Iface  int             // index of the interface, 0 where it is not known: copies of one packet differ in it
}

// Frames take what a capture sees, in the order it came. Calls come from one goroutine.
type Frames interface {
	Frame(Frame)
	// Tick is called about once a second of the capture's time, in Unix nanoseconds, also when nothing comes.
	Tick(now int64)
}

// A Service is what the bytes to a port are called by.
type Service struct {
	Name string     // as Exchange.Dst
	Port uint16     // TCP
	Addr netip.Addr // zero: any address
}
