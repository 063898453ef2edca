package tape

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/redlane/redlane/traffic"
)

// A Follower yields the durable blocks of a tape in the order in which they were written: what a store that
// is fed from the spool needs. It is for one goroutine at a time.
type Follower struct {
	dir  string
	w    *Writer // nil: nobody writes the tape in this process
	next uint64  // block to yield next

	limit uint64 // blocks before it may be read
	seg   segment
	f     *os.File
	off   int64
	offs  []int64 // of the blocks of seg so far: one may be the dictionary of what comes
	block Block
}

// A Block is a block of a tape with its identity.
type Block struct {
	Instance    Instance
	Seq         uint64 // of the block; with Instance it names these bytes for ever
	FirstRecord uint64 // sequence of its first record on the tape
	Count       int    // of records
	First, Last int64  // earliest and latest Start, Unix nanoseconds

	path     string
	off      int64
	records  records // in mem or in out
	mem, out []byte
	dec      decompressor
	decoder  decoder
	names    interner
	x        traffic.Exchange
}

// Follow iterates over the durable blocks of this Writer's tape from block number from on, also those of
// earlier runs. Next waits for more until the Writer is closed or broken.
func (w *Writer) Follow(from uint64) *Follower {
	return &Follower{dir: w.dir, w: w, next: from}
}

// Follow iterates over the blocks of a tape that this process does not write, from block number from on,
// and ends with io.EOF after the last that is durable now.
func Follow(name string, from uint64) (*Follower, error) {
	ix, err := load(name, false)
	if err != nil {
		return nil, err
	}
	f := &Follower{dir: ix.dir, next: from}
	if n := len(ix.segs); n > 0 {
		f.limit = ix.segs[n-1].endBlock()
	}
	return f, nil
}

// Next returns the next durable block; it is valid until the following call. It waits while the Writer goes on,
// and returns io.EOF after the last block once the Writer has ended, whether well or not: the Writer itself
// tells that. After any other error the same block can be asked for again.
func (f *Follower) Next(ctx context.Context) (*Block, error) {
	for {
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
		found, err := f.read()
		if err != nil {
			f.closeFile()
			return nil, fmt.Errorf("follow tape %q: %w", f.dir, err)
		}
		if found {
			f.next++
			return &f.block, nil
		}
	}
}

// At is the number of the block that Next yields next: what a store keeps to go on from there later.
func (f *Follower) At() uint64 { return f.next }

func (f *Follower) wait(ctx context.Context) error {
	if f.next < f.limit {
		return nil
	}
	if f.w == nil {
		return io.EOF
	}
	s := &f.w.state
	for {
		s.Lock()
		durable, changed, over := s.durable, s.changed, s.closed || s.err != nil
		s.Unlock()
		f.limit = durable
		switch {
		case f.next < durable:
			return nil
		case over:
			return io.EOF
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// read makes f.block the block number f.next. It reports false when there is none up to the limit: the last of
// them were cut away.
func (f *Follower) read() (found bool, err error) {
	for f.next < f.limit {
		if f.f == nil {
			if found, err := f.find(); !found {
				return false, err
			}
		}
		h, payload, mem, err := f.seg.readBlock(f.f, f.off, -1, f.block.mem)
		f.block.mem = mem
		if err != nil {
			return false, fmt.Errorf("%s: offset %d: %w", f.seg.path, f.off, err)
		}
		if h.magic == indexMagic { // the segment ends here
			if h.block > f.next {
				f.next = h.block // over a hole that recovery noted
			}
			f.closeFile()
			continue
		}
		at := f.off
		f.off += h.span()
		f.offs = append(f.offs, at)
		if h.block < f.next {
			continue
		}
		if uint64(h.back) >= uint64(len(f.offs)) {
			return false, fmt.Errorf("%s: offset %d: %w", f.seg.path, at, errNoDict)
		}
		return true, f.block.set(f.f, &f.seg, at, &h, payload, f.offs[len(f.offs)-1-int(h.back)])
	}
	return false, nil
}

// find opens the segment that holds block f.next, at its beginning. Where that was deleted on purpose it moves on to
// what is left, and reports false when that is past the limit.
func (f *Follower) find() (found bool, err error) {
	m, err := readMeta(f.dir)
	if err != nil {
		return false, err
	}
	if f.next = max(f.next, m.expired().block); f.next >= f.limit {
		return false, nil
	}
	paths, _, err := listSegments(f.dir)
	if err != nil {
		return false, plain(err)
	}
	var best segment
	for _, p := range paths {
		s := segment{path: p}
		if err := s.readHead(); errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		} else if err != nil {
			return false, err
		}
		if s.head.firstBlock <= f.next && (best.path == "" || s.head.firstBlock >= best.head.firstBlock) {
			best = s
		}
	}
	if best.path == "" {
		return false, fmt.Errorf("block %d is in no segment", f.next)
	}
	if f.f, err = os.Open(best.path); err != nil {
		return false, err
	}
	f.seg, f.off, f.offs = best, headerLen, f.offs[:0]
	return true, nil
}

func (s *segment) readHead() error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [headerLen]byte
	n, _ := f.ReadAt(b[:], 0)
	if ver := s.head.parse(b[:n]); ver == 0 || ver > versionNow {
		s.head.firstBlock = math.MaxUint64 // being made right now, or what a crash left of one
	}
	return nil
}

func (f *Follower) closeFile() {
	if f.f != nil {
		f.f.Close()
		f.f = nil
	}
}

// Close lets go of the files. The Writer goes on.
func (f *Follower) Close() error {
	f.closeFile()
	f.block.dec.close()
	return nil
}

func (b *Block) set(f io.ReaderAt, s *segment, off int64, h *blockHeader, payload []byte, dict int64) (err error) {
	b.Instance, b.Seq, b.FirstRecord = s.head.instance, h.block, h.firstRe
	b.Count, b.First, b.Last = int(h.records), h.first, h.last
	b.path, b.off = filepath.Base(s.path), off
	b.decoder.names = &b.names
	if b.records, err = b.dec.records(&b.out, payload, h, f, s, dict, false); err != nil {
		return fmt.Errorf("%s: offset %d: %w", s.path, off, err)
	}
	return nil
}

// Token is (instance, block number) as text: a store that has seen it has this block already.
func (b *Block) Token() string { return fmt.Sprintf("%s/%d", hex.EncodeToString(b.Instance[:]), b.Seq) }

// Bytes is the size of the block's records without compression.
func (b *Block) Bytes() int { return len(b.records.b) }

// Blobs are the header blobs of a record as they lie on the tape, for stores that keep them as they are.
// They are empty where there are no lines.
type Blobs struct {
	RequestHeaders, RequestTrailers   []byte
	ResponseHeaders, ResponseTrailers []byte
}

// Records calls f for each record in the order of writing. x and its bytes are valid until f returns.
func (b *Block) Records(f func(x *traffic.Exchange) error) error {
	return b.Each(func(x *traffic.Exchange, _ *Blobs) error { return f(x) })
}

// Each is Records with the header blobs as they lie on the tape.
func (b *Block) Each(f func(x *traffic.Exchange, blobs *Blobs) error) error {
	d := &b.decoder
	d.reset(&b.records)
	for range b.Count {
		if err := d.next(&b.x); err != nil {
			return fmt.Errorf("%s: offset %d: %w", b.path, b.off, err)
		}
		if err := f(&b.x, &d.blobs); err != nil {
			return err
		}
	}
	if err := d.end(); err != nil {
		return fmt.Errorf("%s: offset %d: %w", b.path, b.off, err)
	}
	return nil
}
