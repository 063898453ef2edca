package recorder

import (
	"sync"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// A shard fills one page and keeps the books of what it decided. Its lock is held for the time it takes to
// encode one exchange, about 300 ns for 1.3 KB.
type shard struct {
	r  *Recorder
	mu struct {
		sync.Mutex
		enc     tape.Encoder
		page    []byte // being filled; nil: none was free
		flushed uint64 // kept when it was last flushed
		off     bool   // the tap is off: nothing changes any more
		counts
	}
	_ [64]byte // the next shard's lock is another core's
}

// counts are the books of a shard.
type counts struct {
	accepted, sampledOut, filtered uint64
	kept                           uint64 // on a page; on disk later, or lost with the disk
	refused                        uint64 // of those kept: the tape had no room, and they stand among the dropped
	dropped                        [numReasons]uint64
}

// begin accepts an exchange that starts and reports whether it is to be recorded.
func (s *shard) begin(sampled bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.off {
		return false
	}
	s.mu.accepted++
	if !sampled {
		s.mu.sampledOut++
	}
	return sampled
}

// leaveOut counts a connection that nobody looks into: there is no request in it that could be replayed. It
// is over for the books at its beginning, because it may last longer than the recording.
func (s *shard) leaveOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.off {
		s.mu.accepted++
		s.mu.filtered++
	}
}

// missed counts an exchange that was never begun here.
func (s *shard) missed(why Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.off {
		s.mu.accepted++
		s.mu.dropped[why]++
	}
}

func (s *shard) drop(why Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.off { // else it has been counted as unfinished
		s.mu.dropped[why]++
	}
}

func (s *shard) filter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.off {
		s.mu.filtered++
	}
}

// put encodes x onto the page.
func (s *shard) put(x *traffic.Exchange) {
	s.mu.Lock()
	if !s.mu.off && s.mu.page != nil && s.mu.enc.Append(x) {
		s.mu.kept++
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.putSlow(x)
}

func (s *shard) putSlow(x *traffic.Exchange) {
	n := tape.Bound(x)
	if n > tape.PageSize {
		s.putLarge(x, n)
		return
	}
	if !s.r.await(func() bool { return s.putFresh(x) }) {
		s.drop(LostPages)
	}
}

// putFresh encodes x onto a page with room for it, and reports false when there is none.
func (s *shard) putFresh(x *traffic.Exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.off {
		return true
	}
	if s.mu.page != nil {
		if s.mu.enc.Append(x) { // somebody else has brought a fresh page
			s.mu.kept++
			return true
		}
		s.handOver(false)
	}
	if s.mu.page = s.r.pages.Get(); s.mu.page == nil {
		return false
	}
	s.mu.enc.Start(s.mu.page)
	if !s.mu.enc.Append(x) {
		panic("BUG: an exchange within the bound does not fit an empty page")
	}
	s.mu.kept++
	return true
}

// handOver gives the page to the writers. The queue has room for every page there is.
func (s *shard) handOver(due bool) {
	if s.mu.page == nil {
		return
	}
	s.r.queue <- filled{Page: s.mu.enc.Page(), memory: s.mu.page, due: due}
	s.mu.page = nil
}

// putLarge makes a page of its own for an exchange larger than one, outside the lock.
func (s *shard) putLarge(x *traffic.Exchange, n int) {
	if n > tape.MaxRecord {
		s.drop(LostSize)
		return
	}
	page := s.r.bodies.exactly(n)
	if page == nil {
		s.drop(LostMemory)
		return
	}
	var enc tape.Encoder
	enc.Start(page)
	if !enc.Append(x) {
		panic("BUG: an exchange within its bound does not fit its page")
	}
	if !s.r.await(s.r.takeLarge) {
		s.r.bodies.release(page)
		s.drop(LostPages)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.off {
		s.r.large.Add(-1)
		s.r.bodies.release(page)
		return
	}
	s.r.queue <- filled{Page: enc.Page(), memory: page, large: true} // never blocks either
	s.mu.kept++
}

// flush hands over a page that has been filling since the last flush, so that nothing waits longer than
// the time between two. It returns how many exchanges came since.
func (s *shard) flush() (records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records = int(s.mu.kept - s.mu.flushed)
	s.mu.flushed = s.mu.kept
	if s.mu.page != nil && s.mu.enc.Page().Records > 0 {
		s.handOver(true)
	}
	return records
}

// end flushes and turns the tap off for good.
func (s *shard) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.page != nil && s.mu.enc.Page().Records == 0 {
		s.r.pages.Put(s.mu.page)
		s.mu.page = nil
	}
	s.handOver(false)
	s.mu.off = true
}
