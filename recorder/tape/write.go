package tape

import (
	"errors"
	"fmt"
	"os"

	"github.com/redlane/redlane/traffic"
)

var errClosed = fmt.Errorf("tape writer: %w", os.ErrClosed)

// WriteBlock writes the records of p as one block. It returns the number of the block's last record plus
// one: the block is durable once Durable has reached it. Compression runs outside the lock, so that several goroutines gain.
func (w *Writer) WriteBlock(p Page) (end uint64, err error) {
	if p.Records == 0 {
		w.state.Lock()
		defer w.state.Unlock()
		return w.state.nextRe, w.state.err
	}
	if len(p.Data) > maxBlock {
		return 0, fmt.Errorf("write block: %d bytes of records, at most %d", len(p.Data), maxBlock)
	}
	if len(p.Data) > 8*PageSize {
		w.giant.Lock()
		defer w.giant.Unlock()
	}
	c := w.comps.get()
	defer w.comps.put(c)
	with := w.dictFor(len(p.Data))
	h, whole, err := w.pack(c, &p, with)
	if err != nil {
		return 0, err
	}
	w.write.Lock()
	defer w.write.Unlock()
	return w.put(c, &p, with, h, whole)
}

// pack compresses p and prepares its header, all but the sequences.
func (w *Writer) pack(c *compressor, p *Page, with *dict) (h blockHeader, whole []byte, err error) {
	whole, codec, size, err := c.block(p.Data, p.Records, w.codec(len(p.Data)), with)
	if err != nil {
		return h, nil, fmt.Errorf("compress block: %w", err)
	}
	return blockHeader{
		magic: blockMagic, codec: codec, raw: uint32(len(p.Data)), size: uint32(size), records: uint32(p.Records),
		crc: checksum(whole[headerLen : headerLen+size]), first: p.First, last: p.Last, tag: tagOf(w.cfg.Instance),
	}, whole, nil
}

// codec is how a page of n bytes is compressed. One that may become a dictionary stays in one piece, which is what a
// dictionary is made of; a giant record too, whose copy would be one.
func (w *Writer) codec(n int) Codec {
	if w.cfg.Codec == Zstd && n >= shortPage && n <= 4*PageSize && !w.wantsDict() {
		return zstdPieces
	}
	return w.cfg.Codec
}

// put writes a page under write's lock: as compressed before, unless that was with a dictionary of another segment.
func (w *Writer) put(c *compressor, p *Page, with *dict, h blockHeader, whole []byte) (_ uint64, err error) {
	// The state below is changed only by holders of write's lock, so that they may read it without state's.
	s := &w.state
	for {
		if err := w.ready(int64(len(whole))); err != nil {
			return 0, err
		}
		if h.codec == zstdDict && (w.dict.Load() != with || s.nextBlock-with.block > maxBack) {
			if h, whole, err = w.pack(c, p, nil); err != nil {
				return 0, err
			}
			continue // it may be larger now
		}
		h.block, h.firstRe = s.nextBlock, s.nextRe
		if h.codec == zstdDict {
			h.back, h.count = uint32(h.block-with.block), with.count
		}
		h.put(whole[:headerLen])
		_, err := s.f.Write(whole)
		if err == nil {
			break
		}
		err = fmt.Errorf("write %s: offset %d: %w", s.seg.path, s.off, plain(err))
		if noRoom(err) && s.f.Truncate(s.off) == nil {
			if freed, _ := w.deleteReleased(); freed { // else err is the one to tell
				continue
			}
		}
		return 0, w.halt(err)
	}
	w.gather(&h, p.Data)
	s.Lock()
	s.seg.entries = append(s.seg.entries, entry{s.off, h.first, h.last, h.firstRe, h.records, h.size})
	s.off += int64(len(whole))
	s.nextBlock++
	s.nextRe += uint64(h.records)
	end, waiting := s.nextRe, s.off-s.synced
	s.Unlock()
	signal(w.kick)
	if waiting >= w.cfg.SyncBytes {
		signal(w.full)
	}
	return end, nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Append adds one exchange to the page that the Writer itself fills, and writes that page when it is full. After a
// *FullError x is not taken, and what was taken before waits for room.
func (w *Writer) Append(x *traffic.Exchange) error {
	w.write.Lock()
	defer w.write.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	e := &w.write.enc
	if w.write.page == nil {
		w.write.page = make([]byte, 0, PageSize)
		e.Start(w.write.page)
	}
	if e.Append(x) {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	if e.Append(x) {
		return nil
	}
	n := Bound(x) // larger than a page: a block of its own
	if n > MaxRecord {
		return fmt.Errorf("append exchange %d: %d bytes, at most %d", x.ID, n, MaxRecord)
	}
	e.Start(make([]byte, 0, n))
	e.Append(x)
	if err := w.flush(); err != nil {
		e.Start(w.write.page) // x is not taken
		return err
	}
	return nil
}

// Flush writes what Append has gathered.
func (w *Writer) Flush() error {
	w.write.Lock()
	defer w.write.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	e := &w.write.enc
	p := e.Page()
	if p.Records == 0 {
		return w.Err()
	}
	c := w.comps.get()
	defer w.comps.put(c)
	with := w.dictFor(len(p.Data))
	h, whole, err := w.pack(c, &p, with)
	if err != nil {
		return err
	}
	if _, err = w.put(c, &p, with, h, whole); err == nil {
		e.Start(w.write.page)
	}
	return err
}

// finish writes the footer, syncs and closes the current file.
func (w *Writer) finish() error {
	w.sync.Lock()
	defer w.sync.Unlock()
	s := &w.state
	w.write.foot = appendFooter(w.write.foot[:0], s.seg.entries, s.off, w.cfg.Instance, s.nextBlock, s.nextRe)
	_, err := s.f.Write(w.write.foot)
	if err == nil {
		if err = s.f.Sync(); noRoom(err) {
			_ = w.doubt(err) // the plain error says what failed
		}
	}
	if err != nil {
		return fmt.Errorf("end %s: %w", s.seg.path, plain(err))
	}
	size := s.off + int64(len(w.write.foot))
	w.advance(s.nextBlock, s.nextRe, size)
	s.seg.nextBlock, s.seg.nextRe = s.nextBlock, s.nextRe
	w.past.add(&s.seg, size)
	f := s.f
	s.Lock()
	s.f = nil
	s.Unlock()
	return f.Close()
}

// fail ends the writer. What was written whole is still made durable if the disk lets us: the torn rest of
// the last write is taken away first.
func (w *Writer) fail(err error) error {
	s := &w.state
	if s.f != nil && s.f.Truncate(s.off) == nil {
		_ = w.commit() // err is the one to tell; does nothing when an fsync has failed already
	}
	return w.broken(err)
}

// broken makes err the error that every later call returns, unless there is one.
func (w *Writer) broken(err error) error {
	w.state.Lock()
	defer w.state.Unlock()
	if w.state.err == nil {
		w.state.err = err
		w.wake()
	}
	return w.state.err
}

// Close writes what Append gathered, the footer and meta.json. nil means that everything ever written to
// this Writer is safe. It is called once.
func (w *Writer) Close() error {
	w.write.Lock()
	defer w.write.Unlock()
	if err := w.usable(); errors.Is(err, errClosed) {
		return err
	}
	err := w.flush()
	w.stop()
	<-w.done // from here on nobody else changes the state
	s := &w.state
	if s.err != nil {
		err = s.err
	} else if ferr := w.finishLast(); ferr != nil {
		err = ferr
	}
	if s.f != nil {
		s.f.Close() // the error before it is the one to tell
	}
	err = errors.Join(err, w.closeMeta(err), w.lock.release())
	s.Lock()
	defer s.Unlock()
	s.closed = true
	w.wake()
	if err != nil {
		return fmt.Errorf("close tape %q: %w", w.dir, err)
	}
	return nil
}

// finishLast ends the current file, if there is one.
func (w *Writer) finishLast() (err error) {
	s := &w.state
	switch {
	case s.f == nil:
	case s.doubt != nil:
		err = w.cutBack()
	default:
		err = w.finish()
	}
	if err != nil {
		_ = w.halt(err) // err itself is the one to tell
	}
	return err
}

func (w *Writer) usable() error {
	w.state.Lock()
	defer w.state.Unlock()
	if w.state.closed {
		return errClosed
	}
	return w.state.err
}

// closeMeta closes the books of this run, which ended with err.
func (w *Writer) closeMeta(err error) error {
	s := &w.state
	run := &w.meta.Runs[len(w.meta.Runs)-1]
	end := w.cfg.Clock.Now().UTC().Round(0)
	run.End = &end
	if run.Ledger = s.ledger; run.Ledger == nil {
		run.Ledger = &traffic.Ledger{Stage: "tape", Accepted: s.kept, Passed: s.kept}
	}
	if err != nil {
		run.Error = err.Error()
	}
	if err := w.meta.write(w.dir); err != nil {
		return fmt.Errorf("write %s: %w", metaName, err)
	}
	return nil
}
