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
	c := w.comps.get()
	defer w.comps.put(c)
	h, whole, err := w.pack(c, &p)
	if err != nil {
		return 0, err
	}
	w.write.Lock()
	defer w.write.Unlock()
	return w.put(h, whole)
}

// pack compresses p and prepares its header, all but the sequences.
func (w *Writer) pack(c *compressor, p *Page) (h blockHeader, whole []byte, err error) {
	whole, codec, size, err := c.block(p.Data, w.cfg.Codec)
	if err != nil {
		return h, nil, fmt.Errorf("compress block: %w", err)
	}
	return blockHeader{
		magic: blockMagic, codec: codec, raw: uint32(len(p.Data)), size: uint32(size), records: uint32(p.Records),
		crc: checksum(whole[headerLen : headerLen+size]), first: p.First, last: p.Last, tag: tagOf(w.cfg.Instance),
	}, whole, nil
}

// put writes a compressed block under write's lock.
func (w *Writer) put(h blockHeader, whole []byte) (uint64, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	// What follows is changed only by holders of write's lock, so that they may read it without state's.
	s := &w.state
	if len(s.seg.entries) > 0 && s.off+int64(len(whole)) > w.cfg.SegmentBytes {
		if err := w.rotate(); err != nil {
			return 0, w.fail(err)
		}
	}
	h.block, h.firstRe = s.nextBlock, s.nextRe
	h.put(whole[:headerLen])
	if _, err := s.f.Write(whole); err != nil {
		return 0, w.fail(fmt.Errorf("write %s: offset %d: %w", s.seg.path, s.off, plain(err)))
	}
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

// Append adds one exchange to the page that the Writer itself fills, and writes that page when it is full.
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
	return w.flush()
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
	e.Start(w.write.page)
	if p.Records == 0 {
		return w.Err()
	}
	c := w.comps.get()
	defer w.comps.put(c)
	h, whole, err := w.pack(c, &p)
	if err != nil {
		return err
	}
	_, err = w.put(h, whole)
	return err
}

// rotate ends the current segment, durably, and starts the next.
func (w *Writer) rotate() error {
	if err := w.finish(); err != nil {
		return err
	}
	return w.open()
}

// finish writes the footer, syncs and closes the current file.
func (w *Writer) finish() error {
	w.sync.Lock()
	defer w.sync.Unlock()
	s := &w.state
	w.write.foot = appendFooter(w.write.foot[:0], s.seg.entries, s.off, w.cfg.Instance, s.nextBlock, s.nextRe)
	_, err := s.f.Write(w.write.foot)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("end %s: %w", s.seg.path, plain(err))
	}
	w.advance(s.nextBlock, s.nextRe, s.off+int64(len(w.write.foot)))
	return s.f.Close()
}

// fail ends the writer. What was written whole is still made durable if the disk lets us: the torn rest of
// the last write is taken away first.
func (w *Writer) fail(err error) error {
	s := &w.state
	if s.f.Truncate(s.off) == nil {
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
	if err == nil {
		err = s.err
	}
	if err == nil {
		if err = w.finish(); err != nil {
			_ = w.fail(err) // err itself is returned below
		}
	}
	if s.err != nil {
		s.f.Close() // the error before it is the one to tell
	}
	err = errors.Join(err, w.closeMeta(), w.lock.release())
	s.Lock()
	defer s.Unlock()
	s.closed = true
	w.wake()
	if err != nil {
		return fmt.Errorf("close tape %q: %w", w.dir, err)
	}
	return nil
}

func (w *Writer) usable() error {
	w.state.Lock()
	defer w.state.Unlock()
	if w.state.closed {
		return errClosed
	}
	return w.state.err
}

func (w *Writer) closeMeta() error {
	s := &w.state
	run := &w.meta.Runs[len(w.meta.Runs)-1]
	end := w.cfg.Clock.Now().UTC().Round(0)
	run.End = &end
	if run.Ledger = s.ledger; run.Ledger == nil {
		n := s.durableRe - w.first
		run.Ledger = &traffic.Ledger{Stage: "tape", Accepted: n, Passed: n}
	}
	if s.err != nil {
		run.Error = s.err.Error()
	}
	if err := w.meta.write(w.dir); err != nil {
		return fmt.Errorf("write %s: %w", metaName, err)
	}
	return nil
}
