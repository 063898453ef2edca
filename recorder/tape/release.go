package tape

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Release says that every block before number block is safe in the store that follows this tape: such segments
// are the first to go when Config.Quota or the disk leaves no room. A store calls it when it begins, with the
// place that its cursor tells, and after each cursor that is on disk. It never waits for the disk, and may be
// called from any goroutine, also after Close.
func (w *Writer) Release(block uint64) {
	s := &w.state
	s.Lock()
	defer s.Unlock()
	s.released = max(s.released, block)
}

// A past is the segments of a tape that are over, oldest first. It is guarded by write's lock.
type past struct {
	segs  []pastSegment
	bytes int64
}

// A pastSegment is what is kept of one, to know when it may go.
type pastSegment struct {
	path      string
	bytes     int64
	instance  Instance
	records   uint64
	end       position // what follows it
	last      int64    // latest start in it
	lastBlock uint64
}

func (p *past) found(s *segment) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	p.add(s, info.Size())
	return nil
}

func (p *past) add(s *segment, bytes int64) {
	one := pastSegment{path: s.path, bytes: bytes, instance: s.head.instance, end: position{s.nextBlock, s.nextRe}, lastBlock: s.endBlock(), last: minTime}
	for i := range s.entries {
		one.records += uint64(s.entries[i].records)
		one.last = max(one.last, s.entries[i].last)
	}
	p.segs = append(p.segs, one)
	p.bytes += bytes
}

// deleteReleased deletes the oldest segment if the store has all of it. If that is the one being written, it
// ends first.
func (w *Writer) deleteReleased() (freed bool, err error) {
	s := &w.state
	s.Lock()
	released := s.released
	s.Unlock()
	if len(w.past.segs) == 0 && s.f != nil && len(s.seg.entries) > 0 && s.seg.endBlock() <= released {
		if err := w.finish(); err != nil {
			return false, err
		}
	}
	if len(w.past.segs) == 0 || w.past.segs[0].lastBlock > released {
		return false, nil
	}
	return true, w.deleteOldest()
}

// deleteOldest notes in meta.json that the oldest segment is gone, and deletes it. Who opens the tape after a
// crash in between finds the note and finishes the work.
func (w *Writer) deleteOldest() error {
	one := w.past.segs[0]
	before := w.meta.clone()
	w.meta.expire(&one)
	err := w.meta.write(w.dir)
	late := noRoom(err) && w.size() > one.bytes
	if err != nil && !late {
		w.meta = before
		return fmt.Errorf("write %s: %w", metaName, err)
	}
	if err := removeFile(one.path); err != nil {
		w.meta = before
		return err
	}
	w.past.segs = append(w.past.segs[:0], w.past.segs[1:]...)
	w.past.bytes -= one.bytes
	if late { // a full disk had no room for the note. Now it has
		if err := w.meta.write(w.dir); err != nil {
			return fmt.Errorf("write %s: %w", metaName, err)
		}
	}
	return syncDir(w.dir)
}

// expire counts a segment as deleted.
func (m *Meta) expire(one *pastSegment) {
	if m.Expired == nil {
		m.Expired = new(Expired)
	}
	m.Expired.Block, m.Expired.Record = one.end.block, one.end.record
	m.Expired.Segments++
	m.Expired.Bytes += one.bytes
	m.Expired.Exchanges += one.records
	for i := range m.Runs {
		if m.Runs[i].Instance == hexInstance(one.instance) {
			m.Runs[i].Expired += one.records
		}
	}
}

// expired is how far the tape was deleted on purpose.
func (m *Meta) expired() (p position) {
	if m.Expired != nil {
		p = position{m.Expired.Block, m.Expired.Record}
	}
	return p
}

// A position is a place between two blocks.
type position struct{ block, record uint64 }

// unexpired leaves out the segments that are noted as deleted and, after a crash, still there.
func unexpired(paths []string, p position) (left, gone []string) {
	for i, path := range paths {
		digits := strings.TrimSuffix(filepath.Base(path), suffix)
		if first, err := strconv.ParseUint(digits, 10, 64); err != nil || first >= p.record {
			return paths[i:], paths[:i]
		}
	}
	return nil, paths
}

func removeAll(paths []string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
