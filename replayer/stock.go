package replayer

import "sync"

// A stock keeps items that are off the books for the feed, which makes them into others. They cross from thread
// to thread in batches: a pool that forgets at every collection allocated one request in four anew.
type stock struct {
	limit int64 // of the memory it keeps; the feed makes new items only when it is empty, so that both together hold what one may

	mu struct {
		sync.Mutex
		items []*item
		bytes int64
	}
}

const (
	// stockBatch is how many items cross at a time.
	stockBatch = 64
	// maxKeptWire is the largest request buffer worth keeping for the next item.
	maxKeptWire = 64 << 10
)

// take moves some items to batch, which is empty. There may be none.
func (s *stock) take(batch []*item) []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := max(0, len(s.mu.items)-stockBatch)
	batch = append(batch, s.mu.items[from:]...)
	clear(s.mu.items[from:])
	s.mu.items = s.mu.items[:from]
	for _, it := range batch {
		s.mu.bytes -= it.size()
	}
	return batch
}

// give takes over items that nobody uses any more.
func (s *stock) give(items []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range items {
		if size := it.size(); s.mu.bytes+size <= s.limit {
			s.mu.items = append(s.mu.items, it)
			s.mu.bytes += size
		}
	}
}

// clean makes it as good as new, but for its memory.
func (it *item) clean() {
	wire := it.wire[:0]
	if cap(wire) > maxKeptWire {
		wire = nil
	}
	poison(wire)
	carry := it.carry
	if carry != nil {
		carry.Reset()
	}
	*it = item{wire: wire, carry: carry}
}
