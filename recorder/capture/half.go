package capture

import "github.com/redlane/redlane/internal/invariant"

// A half is one direction of a connection in the space of its sequence numbers, which wrap around.
//
//	read | next … hole … wait[at] … | … acked
type half struct {
	known      bool // next is the place of the byte to be read next, and what it means
	next       uint32
	started    bool // start was said by a SYN, or is where the stream was joined
	start      uint32
	acked      uint32 // the other side has all before it
	ackedKnown bool

	wait []segment // in order of seq; those before at have been read
	at   int

	ended bool // end is behind the last byte, by a FIN or by an RST
	reset bool
	over  bool // it has been read to its end
	end   uint32

	since   int64 // when the hole at sinceAt was noticed, 0 for none
	sinceAt uint32
}

// A segment is data that waits. cut bytes more were on the wire behind b.
type segment struct {
	seq, ack uint32
	acks     bool
	turn     bool // see conn.inTurn
	safe     bool
	time     int64
	b        []byte
	cut      int
}

// less compares sequence numbers, which wrap around.
func less(a, b uint32) bool { return int32(a-b) < 0 }

// maxJump is how far a packet may lie from what comes next and still be of the same connection. Windows are
// at most some MiB in practice, and a new connection on the same ports begins anywhere in 4 GiB.
const maxJump = 64 << 20

func (h *half) far(seq uint32) bool {
	d := int32(seq - h.next)
	return d > maxJump || d < -maxJump
}

// begin makes start the place of the first byte, unless that is known.
func (h *half) begin(start uint32) {
	if h.started || h.known {
		return
	}
	h.known, h.started = true, true
	h.start, h.next = start, start
}

func (h *half) acknowledge(ack uint32) {
	if h.known && h.far(ack) {
		return
	}
	if !h.ackedKnown || less(h.acked, ack) {
		h.acked, h.ackedKnown = ack, true
	}
}

func (h *half) endAt(p *packet) {
	end := p.seq + uint32(len(p.data)+p.cut)
	if h.ended || h.over || h.known && (less(end, h.next) || h.far(end)) {
		return
	}
	h.ended, h.reset, h.end = true, p.rst, end
}

// hole is the size of what is missing before the next byte that waits or is acknowledged, 0 for nothing.
// sure says that the receiver has it.
func (h *half) hole() (n int, sure bool) {
	if !h.known {
		return 0, false
	}
	end, any := h.acked, h.ackedKnown && less(h.next, h.acked)
	if h.at < len(h.wait) {
		first := h.wait[h.at].seq
		if !less(h.next, first) {
			return 0, false // it only has to wait for the other direction
		}
		if !any || less(first, end) {
			end = first
		}
		any = true
	}
	if h.ended {
		if !any && h.reset {
			end, any = h.end, true
		}
		if less(h.end, end) {
			end = h.end // a FIN is acknowledged, too
		}
	}
	if !any || !less(h.next, end) {
		return 0, false
	}
	return int(end - h.next), h.ackedKnown && !less(h.acked, end)
}

// keep puts a copy of s among what waits.
func (c *conn) keep(dir int, s *segment) {
	h, a := &c.half[dir], c.a
	i := len(h.wait)
	for i > h.at && less(s.seq, h.wait[i-1].seq) {
		i--
	}
	end := s.seq + uint32(len(s.b)+s.cut)
	if i > h.at {
		if b := &h.wait[i-1]; !less(b.seq+uint32(len(b.b)+b.cut), end) && (b.cut <= 0 || s.cut > 0) {
			a.n.Duplicates++
			a.n.bytes.duplicate += uint64(len(s.b))
			return
		}
	}
	if a.memory+int64(len(s.b)) > a.cfg.Memory {
		a.n.bytes.memory += uint64(len(s.b))
		c.giveUp()
		return
	}
	a.n.Reordered++
	own := *s
	own.b = append(a.segments.take(len(s.b)), s.b...)
	a.memory += int64(cap(own.b))
	c.waiting += int64(cap(own.b))
	a.n.bytes.waiting += uint64(len(own.b))
	if h.at > 0 && len(h.wait) == cap(h.wait) {
		k := copy(h.wait, h.wait[h.at:])
		clear(h.wait[k:])
		h.wait, i, h.at = h.wait[:k], i-h.at, 0
	}
	h.wait = append(h.wait, segment{})
	copy(h.wait[i+1:], h.wait[i:])
	h.wait[i] = own
}

// unkeep takes out what waits first. Its memory is to be given back.
func (c *conn) unkeep(dir int) segment {
	h := &c.half[dir]
	s := h.wait[h.at]
	h.wait[h.at] = segment{}
	if h.at++; h.at == len(h.wait) {
		h.wait, h.at = h.wait[:0], 0
		if cap(h.wait) > maxWait {
			h.wait = nil
		}
	}
	c.a.memory -= int64(cap(s.b))
	c.waiting -= int64(cap(s.b))
	c.a.n.bytes.waiting -= uint64(len(s.b))
	return s
}

const maxWait = 64 // segments; a longer list's memory is let go

// A segmentPool keeps the memory of segments for the next ones, by powers of two from 2 KiB to 64 KiB.
type segmentPool struct{ free [6][][]byte }

const (
	leastSegment = 11
	maxPooled    = 64 // of each size
)

func sizeClass(n int) int {
	k := 0
	for n > 1<<(leastSegment+k) {
		k++
	}
	return k
}

func (p *segmentPool) take(n int) []byte {
	k := sizeClass(n)
	if k >= len(p.free) {
		return make([]byte, 0, n)
	}
	if l := len(p.free[k]); l > 0 {
		b := p.free[k][l-1]
		p.free[k] = p.free[k][:l-1]
		return b
	}
	return make([]byte, 0, 1<<(leastSegment+k))
}

func (p *segmentPool) give(b []byte) {
	k := sizeClass(cap(b))
	if k >= len(p.free) || cap(b) != 1<<(leastSegment+k) || len(p.free[k]) >= maxPooled {
		return
	}
	invariant.Poison(b)
	p.free[k] = append(p.free[k], b[:0])
}
