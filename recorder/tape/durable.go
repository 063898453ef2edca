package tape

import (
	"context"
	"fmt"
)

// Durable is the number of records of this tape that are on disk: every record whose sequence is below it.
func (w *Writer) Durable() uint64 {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.durableRe
}

// Changed returns a channel that is closed when Durable moves, or when the Writer ends or breaks.
func (w *Writer) Changed() <-chan struct{} {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.changed
}

// Err is the error that broke the Writer, or nil.
func (w *Writer) Err() error {
	w.state.Lock()
	defer w.state.Unlock()
	return w.state.err
}

// Sync writes what Append gathered and returns when everything written before is durable.
func (w *Writer) Sync() error {
	if err := w.Flush(); err != nil {
		return err
	}
	return w.commit()
}

// commit is one group commit. Blocks written while it runs belong to the next.
func (w *Writer) commit() error {
	w.sync.Lock()
	defer w.sync.Unlock()
	s := &w.state
	s.Lock()
	f, path, block, re, off, err := s.f, s.seg.path, s.nextBlock, s.nextRe, s.off, s.err
	done := s.closed || f == nil || block == s.durable
	if err == nil && s.doubt != nil {
		err = s.full
	}
	s.Unlock()
	if err != nil || done {
		return err
	}
	if err := f.Sync(); err != nil {
		// After a failed fdatasync the kernel may have dropped the pages: never try again.
		err = fmt.Errorf("sync %s: %w", path, plain(err))
		if noRoom(err) {
			return w.doubt(err)
		}
		return w.broken(err)
	}
	w.advance(block, re, off)
	return nil
}

// doubt notes that a sync found no room: ready cuts the segment back to the sync before, when there is.
func (w *Writer) doubt(err error) error {
	s := &w.state
	s.Lock()
	defer s.Unlock()
	s.doubt = err
	s.full, s.fullAt = &FullError{Err: err}, w.cfg.Clock.Now()
	return s.full
}

// advance tells everyone that the blocks before block are durable.
func (w *Writer) advance(block, re uint64, off int64) {
	s := &w.state
	s.Lock()
	defer s.Unlock()
	s.synced = off
	if block == s.durable {
		return
	}
	s.kept += re - s.durableRe - s.hole
	s.durable, s.durableRe, s.hole = block, re, 0
	_ = w.lock.publish(block) // only a help for readers elsewhere: they would see less
	w.wake()
}

// wake tells everyone who waits on Changed. The state's lock is held.
func (w *Writer) wake() {
	close(w.state.changed)
	w.state.changed = make(chan struct{})
}

// SyncSoon has the syncer commit what waits without waiting for more to come.
func (w *Writer) SyncSoon() { signal(w.full) }

// syncer commits SyncEvery after the first block that waits, or when SyncBytes have come together.
func (w *Writer) syncer(ctx context.Context) {
	defer close(w.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.kick:
		}
		w.waitFor(ctx)
		if ctx.Err() != nil || w.commit() != nil && w.Err() != nil {
			return
		}
	}
}

// waitFor returns after SyncEvery, or sooner when enough waits or the Writer closes.
func (w *Writer) waitFor(ctx context.Context) {
	short, cancel := context.WithCancel(ctx)
	late := make(chan struct{})
	go func() {
		defer close(late)
		w.cfg.Clock.SleepUntil(short, w.cfg.Clock.Now().Add(w.cfg.SyncEvery))
	}()
	select {
	case <-w.full:
	case <-late:
	}
	cancel()
	<-late
}
