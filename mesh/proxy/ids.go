package proxy

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"

	"github.com/redlane/redlane/traffic"
)

// ids makes the numbers of one loop: a 48-bit counter each, under 16 bits that follow the loop. They begin
// at a random place, so that those of two proxies, or of one started twice, do not meet.
type ids struct {
	base     uint64
	sessions uint64
	requests uint64
}

func newIDs(loops int) []ids {
	var b [8]byte
	rand.Read(b[:]) // never fails
	all := make([]ids, loops)
	for i := range all {
		all[i].base = binary.LittleEndian.Uint64(b[:]) + uint64(i)<<48
	}
	return all
}

func (i *ids) session() uint64 {
	i.sessions++
	return i.base + i.sessions
}

// request writes a new x-request-id into text. Multiplying by an odd constant spreads the counter without
// letting two values meet.
func (i *ids) request(text *[16]byte) {
	i.requests++
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], (i.base+i.requests)*0x9e3779b97f4a7c15)
	hex.Encode(text[:], b[:])
}

var requestIDName = []byte("x-request-id")

// identify fills in what the request's headers say about it. A request without an id is given one, which
// goes upstream too: every hop then has the same ID, and with it the same luck.
func (x *exchange) identify() {
	id := x.Request.Get("x-request-id")
	if len(id) == 0 {
		x.session.loop.ids.request(&x.id)
		id, x.Unnamed = x.id[:], true
		x.SetHeader(requestIDName, id)
	}
	x.ID = traffic.RequestID(id)
	x.Trace = traffic.TraceID(x.Request.Get("traceparent"))
	if x.asked.LooseSpace {
		x.Flags |= traffic.FlagLooseSpace
	}
}
