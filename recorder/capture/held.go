package capture

import "slices"

// A Held keeps packets for a while before it passes them on: what they need to be understood may come later than they
// do. The secrets of a TLS connection are in a key log only once its client has computed them, and that writes them to
// a file when it likes; the server's first encrypted bytes are captured before that.
//
//	capture ─► Frame, Tick ─► held for Wait ─► Before ─► To
//
// Its time is that of the packets. Above Limit the oldest go on at once.
type Held struct {
	To     Frames
	Before func()  // asked each time before packets go on; nil: nothing
	Wait   int64   // nanoseconds
	Limit  int64   // bytes of packets held
	frames []Frame // from head on
	head   int
	bytes  int64
	free   [][]byte // memory of packets that have gone on
}

// maxFree is how many buffers of packets are kept for the next ones.
const maxFree = 4096

// Frame takes a copy of f.
func (h *Held) Frame(f Frame) {
	h.release(f.Time-h.Wait, h.Limit-int64(len(f.Data)))
	var memory []byte
	if n := len(h.free); n > 0 {
		memory, h.free = h.free[n-1], h.free[:n-1]
	}
	f.Data = append(memory[:0], f.Data...)
	h.frames = append(h.frames, f)
	h.bytes += int64(len(f.Data))
}

// Tick passes on what has waited long enough, and the time up to which that is everything.
func (h *Held) Tick(now int64) {
	h.release(now-h.Wait, h.Limit)
	h.To.Tick(now - h.Wait)
}

// End passes on all that is held.
func (h *Held) End() { h.release(1<<63-1, 0) }

// release passes on what came up to a time, and then the oldest until no more than limit bytes are left.
func (h *Held) release(until, limit int64) {
	if h.head == len(h.frames) || h.frames[h.head].Time > until && h.bytes <= limit {
		return
	}
	if h.Before != nil {
		h.Before()
	}
	for h.head < len(h.frames) {
		f := &h.frames[h.head]
		if f.Time > until && h.bytes <= limit {
			break
		}
		h.To.Frame(*f)
		h.bytes -= int64(len(f.Data))
		if len(h.free) < maxFree {
			h.free = append(h.free, f.Data)
		}
		*f = Frame{}
		h.head++
	}
	if h.head > len(h.frames)/2 { // the larger part is used up
		h.frames = slices.Delete(h.frames, 0, h.head)
		h.head = 0
	}
}
