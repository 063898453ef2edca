package tape

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/redlane/redlane/traffic"
)

// A Reader is a traffic.Source of all exchanges of a tape in the order of their start, over all blocks and
// segments; those of equal start in the order of writing. Exchanges are written when they end, so that
// blocks overlap in time:
//
//	blocks by earliest start   ├────────┤
//	                              ├────────────┤      open those that have begun by now,
//	                                 ├──────┤         a heap yields the earliest record of them
//	                                          ├─────┤ not yet read
//	                             now ▲
//
// A block is dropped when its last record is out. When the open blocks need more than the memory limit,
// the one whose next record is furthest away is let go and read again later. Memory is the limit and 100
// bytes per block of the tape. A Reader is for one goroutine at a time.
type Reader struct {
	ix      *index
	order   []cursorBlock // every block, by earliest start
	next    int           // first of order that is not open yet
	open    blockHeap
	held    int64 // bytes of records in open blocks
	limit   int64
	from    int64
	bare    bool         // responses are left out
	current *cursorBlock // its record was yielded last; it moves on at the next call
	free    []*loaded
	dec     decompressor
	files   files
	names   interner
}

// defaultMemory lets about 200 blocks overlap before any must be read twice.
const defaultMemory = 64 << 20

// A cursorBlock is a block and the place in it.
type cursorBlock struct {
	seg   int32
	entry entry
	pos   int     // record to yield next, in order of start
	head  head    // of that record
	mem   *loaded // nil: not in memory
}

// A loaded is the memory of an open block.
type loaded struct {
	dec      decoder
	heads    []head // in the order of writing
	order    startOrder
	mem, out []byte
}

func (l *loaded) size() int64 { return int64(cap(l.mem) + cap(l.out) + 56*cap(l.heads)) }

// at is the record number pos in order of start.
func (l *loaded) at(pos int) head { return l.heads[l.order.at(pos)] }

// Open opens a tape for reading: tape://DIR, DIR or one segment file. A tape that is being written is read up to
// what is durable now. A torn end, which a crash leaves, is passed over: see Torn. Damage with more of the
// tape after it is an error.
func Open(name string) (*Reader, error) {
	ix, err := load(name, false)
	if err != nil {
		return nil, err
	}
	r := &Reader{ix: ix, limit: defaultMemory, from: minTime}
	for i := range ix.segs {
		for _, e := range ix.segs[i].entries {
			r.order = append(r.order, cursorBlock{seg: int32(i), entry: e})
		}
	}
	slices.SortFunc(r.order, func(a, b cursorBlock) int {
		if a.entry.first != b.entry.first {
			return cmp.Compare(a.entry.first, b.entry.first)
		}
		return cmp.Compare(a.entry.firstRe, b.entry.firstRe)
	})
	return r, nil
}

// Torn is what a crash left behind the last whole block, with an empty Cause when there is nothing.
func (r *Reader) Torn() Cut {
	if n := len(r.ix.segs); n > 0 && !r.ix.live {
		return r.ix.segs[n-1].cut
	}
	return Cut{}
}

// From makes Next go on with the first exchange that started at or after start, Unix nanoseconds. It must be
// called before the first Next.
func (r *Reader) From(start int64) { r.from = start }

// SkipResponses makes Next leave out what came back, all but Response.Status: then it need not be decompressed, which is
// two thirds of reading. Where it would be no less work it comes nevertheless. It must be called before the first
// Next.
func (r *Reader) SkipResponses() { r.bare = true }

// Next fills x with the next exchange. x's bytes are valid until the following call.
func (r *Reader) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.advance(); err != nil {
		return err
	}
	c, err := r.earliest()
	if err != nil {
		return err
	}
	d := &c.mem.dec
	d.fill(&c.head, x)
	if d.broken() {
		return r.at(c, fmt.Errorf("record %d in order of start is damaged near byte %d", c.pos, d.i))
	}
	r.current = c
	return nil
}

// advance moves the block on whose record was yielded last.
func (r *Reader) advance() error {
	c := r.current
	if c == nil {
		return nil
	}
	r.current = nil
	if c.pos++; c.pos == int(c.entry.records) {
		r.release(c)
		heap.Pop(&r.open)
		return nil
	}
	c.head = c.mem.at(c.pos)
	r.open.sink()
	return nil
}

// earliest returns the block that holds the next record, in memory.
func (r *Reader) earliest() (*cursorBlock, error) {
	for {
		for r.next < len(r.order) && (len(r.open) == 0 || r.order[r.next].entry.first <= r.open[0].head.start) {
			c := &r.order[r.next]
			r.next++
			if c.entry.last < r.from || c.entry.records == 0 {
				continue
			}
			if err := r.load(c); err != nil {
				return nil, err
			}
			for c.pos < len(c.mem.heads) && c.mem.at(c.pos).start < r.from {
				c.pos++
			}
			if c.pos == len(c.mem.heads) {
				r.release(c)
				continue
			}
			c.head = c.mem.at(c.pos)
			heap.Push(&r.open, c)
		}
		if len(r.open) == 0 {
			return nil, io.EOF
		}
		c := r.open[0]
		if c.mem != nil {
			return c, nil
		}
		if err := r.load(c); err != nil {
			return nil, err
		}
	}
}

// load reads a block into memory and lets another go if there is no room.
func (r *Reader) load(c *cursorBlock) error {
	s := &r.ix.segs[c.seg]
	f, err := r.files.get(s.path)
	if err != nil {
		return err
	}
	if r.held >= r.limit {
		r.evict()
	}
	l := r.take()
	h, payload, mem, err := s.readBlock(f, c.entry.off, int64(c.entry.size), l.mem)
	l.mem = mem
	if err == nil && (h.magic != blockMagic || h.firstRe != c.entry.firstRe || h.records != c.entry.records) {
		err = errOther
	}
	if err != nil {
		return r.at(c, err)
	}
	dict, err := s.dictAt(&h)
	if err != nil {
		return r.at(c, err)
	}
	raw, err := r.dec.records(&l.out, payload, &h, f, s, dict, r.bare)
	if err != nil {
		return r.at(c, err)
	}
	l.dec.names = &r.names
	l.dec.reset(&raw)
	if l.heads, err = l.dec.heads(l.heads[:0], int(h.records)); err != nil {
		return r.at(c, err)
	}
	l.order.sort(l.heads)
	c.mem = l
	r.held += l.size()
	return nil
}

// evict lets go of the open block whose next record is furthest away.
func (r *Reader) evict() {
	var last *cursorBlock
	for _, c := range r.open[min(1, len(r.open)):] {
		if c.mem != nil && (last == nil || c.head.start > last.head.start) {
			last = c
		}
	}
	if last != nil {
		r.release(last)
	}
}

func (r *Reader) take() *loaded {
	if n := len(r.free); n > 0 {
		l := r.free[n-1]
		r.free = r.free[:n-1]
		return l
	}
	return new(loaded)
}

func (r *Reader) release(c *cursorBlock) {
	r.held -= c.mem.size()
	if len(r.free) < 8 && c.mem.size() < 8*PageSize {
		r.free = append(r.free, c.mem)
	}
	c.mem = nil
}

// at puts the file and the offset before the cause.
func (r *Reader) at(c *cursorBlock, err error) error {
	return fmt.Errorf("read tape %q: %s: offset %d: %w", r.ix.dir, r.ix.segs[c.seg].path, c.entry.off, err)
}

// Close lets go of files and memory.
func (r *Reader) Close() error {
	r.files.close()
	r.dec.close()
	r.order, r.open, r.free, r.current, r.next = nil, nil, nil, nil, 0
	return nil
}

// A blockHeap yields the block with the earliest next record.
type blockHeap []*cursorBlock

func (h blockHeap) Len() int { return len(h) }
func (h blockHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.head.start != b.head.start {
		return a.head.start < b.head.start
	}
	return a.entry.firstRe < b.entry.firstRe
}
func (h blockHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *blockHeap) Push(c any)   { *h = append(*h, c.(*cursorBlock)) }
func (h *blockHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return c
}

// sink puts the block whose record was yielded to its new place. It is asked for every record, and hardly ever moves.
func (h blockHeap) sink() {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h.Less(child+1, child) {
			child++
		}
		if !h.Less(child, i) {
			return
		}
		h.Swap(i, child)
		i = child
	}
}

// files keeps the segments open that were read last.
type files struct {
	open []*os.File
}

// maxFiles is enough for the overlap at a segment's end, and for a few long exchanges.
const maxFiles = 8

func (fs *files) get(path string) (*os.File, error) {
	for i, f := range fs.open {
		if f.Name() == path {
			copy(fs.open[1:], fs.open[:i])
			fs.open[0] = f
			return f, nil
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if len(fs.open) == maxFiles {
		fs.open[maxFiles-1].Close()
		fs.open = fs.open[:maxFiles-1]
	}
	fs.open = slices.Insert(fs.open, 0, f)
	return f, nil
}

func (fs *files) close() {
	for _, f := range fs.open {
		f.Close()
	}
	fs.open = nil
}

const minTime = -1 << 63
