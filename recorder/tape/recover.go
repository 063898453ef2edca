package tape

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Recover makes a damaged tape whole again: every segment is read, what lies after the first damage in it
// is cut away, and a footer takes its place. It returns what was cut. Nobody may be writing the tape.
// A file that the disk does not let us read is an error and left as it is.
func Recover(name string) ([]Cut, error) {
	dir, err := Path(name)
	if err != nil {
		return nil, err
	}
	cuts, err := recoverLocked(dir)
	if err != nil {
		return cuts, fmt.Errorf("recover tape %q: %w", dir, err)
	}
	return cuts, nil
}

func recoverLocked(dir string) ([]Cut, error) {
	paths, _, err := listSegments(dir)
	if err != nil {
		return nil, plain(err)
	}
	if len(paths) == 0 {
		return nil, errors.New("holds no tape (no *.tape file)")
	}
	l, err := takeLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.release() }() // the lock ends with the descriptor, whatever close says
	m, err := readMeta(dir)
	if err != nil {
		return nil, err
	}
	paths, gone := unexpired(paths, m.expired())
	if err := removeAll(gone); err != nil {
		return nil, err
	}
	_, cuts, err := recoverSegments(dir, paths, true)
	return cuts, err
}

// recoverSegments brings every segment to an end with a footer. Without deep it trusts those that have one.
// It returns those that hold records.
func recoverSegments(dir string, paths []string, deep bool) (segs []segment, cuts []Cut, err error) {
	for _, p := range paths {
		s, err := readSegment(p, ^uint64(0), deep)
		if err != nil {
			return nil, cuts, err
		}
		if s.end == 0 || len(s.entries) == 0 { // made and never used: its name is needed again
			if s.cut.Cause != "" && s.cut.Bytes > 0 {
				cuts = append(cuts, s.cut)
			}
			if err := os.Remove(p); err != nil {
				return nil, cuts, err
			}
			continue
		}
		segs = append(segs, s)
	}
	for i := range segs {
		s := &segs[i]
		if s.cut.Cause != "" {
			if i+1 < len(segs) {
				s.cut.Exchanges = segs[i+1].head.firstRe - s.endRe() // the numbers leave no doubt
			}
			cuts = append(cuts, s.cut)
		}
		nextBlock, nextRe := s.endBlock(), s.endRe()
		if i+1 < len(segs) {
			if segs[i+1].head.firstRe < nextRe {
				return nil, cuts, hole(s, &segs[i+1], Cut{})
			}
			nextBlock, nextRe = segs[i+1].head.firstBlock, segs[i+1].head.firstRe
		}
		if s.closed && s.nextBlock == nextBlock && s.nextRe == nextRe {
			continue
		}
		if s.closed && i+1 == len(segs) {
			continue // a cut was noted here before
		}
		if err := s.finish(nextBlock, nextRe); err != nil {
			return nil, cuts, err
		}
	}
	return segs, cuts, syncDir(dir)
}

// finish cuts the file after its last good block and writes a footer there.
func (s *segment) finish(nextBlock, nextRe uint64) error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(s.end); err != nil {
		return err
	}
	if _, err := f.WriteAt(appendFooter(nil, s.entries, s.end, s.head.instance, nextBlock, nextRe), s.end); err != nil {
		return err
	}
	s.closed, s.nextBlock, s.nextRe = true, nextBlock, nextRe
	return unix.Fdatasync(int(f.Fd()))
}

// syncDir makes names that were added to or removed from dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
