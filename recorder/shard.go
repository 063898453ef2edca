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
		enc  tape.Encoder
		page []byte // being filled; nil: none was free
		off  bool   // the tap is off: nothing changes any more
		counts
	}
	_ [64]byte // the next shard's lock is another core's
}

// counts are the books of a shard.
type counts struct {
	accepted, sampledOut, filtered uint64
	kept                           uint64 // on a page; on disk later, or lost with the disk
	dropped                        [numReasons]uint64
}

type reason uint8

const (
	dropMemory reason = iota
	dropPages
	dropSize
	dropDisk
	dropUnfinished
	numReasons
)

var reasonNames = [numReasons]string{"memory", "pages", "size", "disk", "unfinished"}

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

func (s *shard) missed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mu.off {
		s.mu.accepted++
		s.mu.dropped[dropUnfinished]++
	}
}

func (s *shard) drop(why reason) {
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.off {
		return
	}
	if s.mu.page != nil && !s.mu.enc.Append(x) {
		s.handOver()
	} else if s.mu.page != nil {
		s.mu.kept++ // somebody else has brought a fresh page
		return
	}
	if s.mu.page = s.r.pages.Get(); s.mu.page == nil {
		s.mu.dropped[dropPages]++
		return
	}
	s.mu.enc.Start(s.mu.page)
	if !s.mu.enc.Append(x) {
		panic("BUG: an exchange within the bound does not fit an empty page")
	}
	s.mu.kept++
}

// handOver gives the page to the writers. The queue has room for every page there is.
func (s *shard) handOver() {
	if s.mu.page == nil {
		return
	}
	s.r.queue <- filled{Page: s.mu.enc.Page(), memory: s.mu.page}
	s.mu.page = nil
}

// putLarge makes a page of its own for an exchange larger than one, outside the lock.
func (s *shard) putLarge(x *traffic.Exchange, n int) {
	if n > tape.MaxRecord {
		s.drop(dropSize)
		return
	}
	page := s.r.bodies.grow(nil, n)
	if page == nil {
		s.drop(dropMemory)
		return
	}
	var enc tape.Encoder
	enc.Start(page)
	if !enc.Append(x) {
		panic("BUG: an exchange within its bound does not fit its page")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.off {
		s.r.bodies.release(page)
		return
	}
	if s.r.large.Add(1) > largeQueued {
		s.r.large.Add(-1)
		s.r.bodies.release(page)
		s.mu.dropped[dropPages]++
		return
	}
	s.r.queue <- filled{Page: enc.Page(), memory: page, large: true} // never blocks either
	s.mu.kept++
}

// flush hands over a page that has been filling since the last flush, so that nothing waits longer than
// the time between two.
func (s *shard) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.page != nil && s.mu.enc.Page().Records > 0 {
		s.handOver()
	}
}

// end flushes and turns the tap off for good.
func (s *shard) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.page != nil && s.mu.enc.Page().Records == 0 {
		s.r.pages.Put(s.mu.page)
		s.mu.page = nil
	}
	s.handOver()
	s.mu.off = true
}
