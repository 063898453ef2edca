package codec

import (
	"strconv"

	"github.com/redlane/redlane/traffic"
)

// Numbers give exchanges of a file that has none an id and a place in their session.
type Numbers struct {
	file      uint64 // hash of the file's name: two files give two sets of ids
	n         uint64
	now, past map[uint64]uint64 // next place, by session
}

// NewNumbers numbers the exchanges of the file called name.
func NewNumbers(name string) *Numbers {
	return &Numbers{file: traffic.RequestID([]byte(name)), now: make(map[uint64]uint64)}
}

// maxSessions bounds the memory: two generations of so many sessions, 20 MB.
const maxSessions = 1 << 18

// Fill sets ID and Seq. Session must be set. The id comes from X-Request-Id, as in a proxy, and otherwise from
// key, or from the place in the file where that is empty. A session that has not been seen for long goes on from
// the number of the exchange in the file, so that places rise but may leave some out.
func (n *Numbers) Fill(x *traffic.Exchange, key []byte) {
	n.n++
	switch id := x.Request.Get("x-request-id"); {
	case len(id) > 0:
		x.ID = traffic.RequestID(id)
	case len(key) > 0:
		x.ID = traffic.RequestID(key)
	default:
		x.ID = n.Own()
	}
	seq, ok := n.now[x.Session]
	if !ok {
		if seq, ok = n.past[x.Session]; !ok && n.past != nil {
			seq = n.n
		}
		if len(n.now) == maxSessions {
			n.past, n.now = n.now, make(map[uint64]uint64)
		}
	}
	x.Seq, n.now[x.Session] = seq, seq+1
}

// Own is a number that no other exchange of the files has: for sessions of one exchange.
func (n *Numbers) Own() uint64 {
	return traffic.RequestID(strconv.AppendUint(strconv.AppendUint(nil, n.file, 16), n.n, 36))
}
