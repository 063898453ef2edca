package traffic

import (
	"net/netip"
	"time"
)

// An Exchange is one request and its response as seen at one point.
type Exchange struct {
	ID      uint64 // names the exchange in logs, on tape and in streams of chance; see RequestID
	Unnamed bool   // the request came without an id: ID was made up, and no other run will meet it again
	Session uint64 // exchanges of one session stay in order; a proxy gives each client connection one
	Seq     uint64 // place within the session, from 0

	Start     int64         // Unix nanoseconds, when the first byte of the request had been read
	FirstByte time.Duration // from Start to the first byte of the response; 0 if none came
	Latency   time.Duration // from Start to the last byte of the response handed to the kernel

	Src, Dst         string         // calling and called service; Src is empty when the caller is unknown
	SrcLane          Color          // lane of the calling instance; empty is the baseline or unknown
	SrcAddr, DstAddr netip.AddrPort // who connected, and the endpoint that served (zero if none did)

	Color      Color      // the colour the request travels under; empty is uncoloured
	Lane       Color      // lane of the endpoint chosen; empty is the baseline
	LaneReason LaneReason // why that lane

	Fault  Injected
	Flags  Flags
	Trace  [16]byte // W3C trace id, zero if the request carried none
	Weight float32  // exchanges this one stands for: 1, or 1/share after sampling

	Request, Response Message

	// Edits are header lines that replace the request's own of the same name, or join them, on the way
	// upstream. A nil Value removes the header. Request itself stays as the caller sent it, so that the
	// tape shows the caller's bytes and not ours.
	Edits []Header

	// Endpoints is where the request may go, set by the lane filter and read by the forwarder.
	Endpoints []*Endpoint
}

// Injected is what fault injection decided for an exchange. It is decided once, whatever is retried.
type Injected struct {
	Rule  string        // the lease that looked at the exchange; empty when none did
	Kind  string        // the fault: latency, abort, reset
	Hit   bool          // whether it struck
	Delay time.Duration // how long it was held, when Kind delays
}

// SetHeader makes the forwarded request carry exactly one header name with this value.
// Both slices must stay unchanged until the exchange ends.
func (x *Exchange) SetHeader(name, value []byte) {
	for i := range x.Edits {
		if EqualFold(x.Edits[i].Name, name) {
			x.Edits[i].Value = value
			return
		}
	}
	x.Edits = append(x.Edits, Header{name, value})
}

// Failed reports whether the caller was let down: no answer, or a server error. A caller that hung up was not.
func (x *Exchange) Failed() bool {
	if x.Response.Status == 0 {
		return !x.Flags.Has(FlagDownstreamClosed)
	}
	return x.Response.Status >= 500
}

// Reset empties x for the next exchange and keeps the memory of its slices. Field by field: building a new
// Exchange around the two messages copies 700 bytes three times.
func (x *Exchange) Reset() {
	x.ID, x.Unnamed, x.Session, x.Seq = 0, false, 0, 0
	x.Start, x.FirstByte, x.Latency = 0, 0, 0
	x.Src, x.Dst, x.SrcLane = "", "", ""
	x.SrcAddr, x.DstAddr = netip.AddrPort{}, netip.AddrPort{}
	x.Color, x.Lane, x.LaneReason = "", "", 0
	x.Fault, x.Flags, x.Trace, x.Weight = Injected{}, 0, [16]byte{}, 1
	x.Request.Reset()
	x.Response.Reset()
	x.Edits, x.Endpoints = x.Edits[:0], nil
}
