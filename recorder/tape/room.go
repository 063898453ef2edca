package tape

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A FullError says that there is no room for a block now: it was refused and nothing of it is on the tape. A later
// one is taken as soon as there is room.
type FullError struct {
	Quota bool  // Config.Quota is reached; else the disk is full
	Err   error // where, and why
}

func (e *FullError) Error() string { return e.Err.Error() }
func (e *FullError) Unwrap() error { return e.Err }

// lookAgain is how long a Writer without room refuses everything before it tries the disk again.
const lookAgain = 100 * time.Millisecond

func noRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Full is why the last block was refused, or nil when blocks are being taken.
func (w *Writer) Full() *FullError {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.full
}

// Resume asks for room as a block of a page would, and returns nil when it would be taken. It is for those who
// stop sending blocks while the Writer is full.
func (w *Writer) Resume() error {
	w.write.Lock()
	defer w.write.Unlock()
	return w.ready(PageSize)
}

// ready brings the Writer to where a block of n bytes can be written. write's lock is held.
func (w *Writer) ready(n int64) error {
	if err := w.usable(); err != nil {
		return err
	}
	s := &w.state
	if full := w.Full(); full != nil {
		// A clock that was set back must not make us wait for the time it lost.
		if d := w.cfg.Clock.Now().Sub(s.fullAt); d >= 0 && d < lookAgain {
			return full
		}
	}
	if err := w.prepare(n); err != nil {
		return w.halt(err)
	}
	s.Lock()
	defer s.Unlock()
	if s.doubt != nil { // a sync has found no room meanwhile
		return s.full
	}
	s.full = nil
	return nil
}

// prepare ends what must be ended, makes room within the quota, and opens the file to write to.
func (w *Writer) prepare(n int64) error {
	s := &w.state
	if s.doubt != nil {
		if err := w.cutBack(); err != nil {
			return err
		}
	}
	if s.f != nil && len(s.seg.entries) > 0 && s.off+n > w.cfg.SegmentBytes {
		if err := w.finish(); err != nil {
			return err
		}
	}
	if err := w.meetQuota(n); err != nil {
		return err
	}
	if s.f != nil {
		return nil
	}
	if err := w.open(); err != nil {
		return err
	}
	return w.expire()
}

// meetQuota deletes released segments until n bytes more are within the quota.
func (w *Writer) meetQuota(n int64) error {
	if w.cfg.Quota == 0 {
		return nil
	}
	need := n + headerLen + w.footerLen()
	for w.size()+need > w.cfg.Quota {
		if freed, err := w.deleteReleased(); err != nil {
			return err
		} else if !freed {
			return &FullError{Quota: true, Err: fmt.Errorf("tape %q holds %d bytes, nothing of it may be deleted, and the quota is %d", w.dir, w.size(), w.cfg.Quota)}
		}
	}
	return nil
}

// footerLen is what the current segment needs to end, with one block more.
func (w *Writer) footerLen() int64 {
	return headerLen + entryLen*int64(len(w.state.seg.entries)+1) + endLen
}

// size is the bytes of all segments.
func (w *Writer) size() int64 {
	n := w.past.bytes
	if w.state.f != nil {
		n += w.state.off
	}
	return n
}

// halt notes that there is no room: what was written whole is made durable, the torn rest of the last write is
// taken away. An error of another kind breaks the Writer. write's lock is held.
func (w *Writer) halt(err error) error {
	full, ok := errors.AsType[*FullError](err)
	if !ok {
		if !noRoom(err) {
			return w.fail(err)
		}
		full = &FullError{Err: err}
	}
	s := &w.state
	if s.f != nil && !full.Quota {
		if terr := s.f.Truncate(s.off); terr != nil {
			return w.fail(errors.Join(err, terr))
		}
		_ = w.commit() // what it says stands in the state: in doubt, or broken
	}
	s.Lock()
	defer s.Unlock()
	if s.err != nil {
		return s.err
	}
	s.full, s.fullAt = full, w.cfg.Clock.Now()
	return full
}

// cutBack ends a segment after a sync that found no room: nothing tells which of the bytes since the sync before
// are on the disk, so they are taken away. Their numbers are not given out again.
func (w *Writer) cutBack() error {
	s := &w.state
	s.Lock()
	off, keep := s.synced, len(s.seg.entries)
	for keep > 0 && s.seg.entries[keep-1].off >= off {
		keep--
		s.hole += uint64(s.seg.entries[keep].records)
	}
	s.seg.entries = s.seg.entries[:keep]
	s.off = off
	s.Unlock()
	if err := s.f.Truncate(off); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return err
	}
	s.Lock()
	defer s.Unlock()
	s.doubt = nil
	return nil
}

// Kept is the number of records that this Writer has made durable. It is less than what Durable has moved by where
// a sync found no room and what it was for had to be taken away again.
func (w *Writer) Kept() uint64 {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.kept
}
