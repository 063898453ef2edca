package tape

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// An index is everything there is to read on a tape.
type index struct {
	dir     string
	segs    []segment
	live    bool     // a writer holds it; blocks that are not durable yet are left out
	file    bool     // it is one segment file, not the tape
	expired position // what was before it is deleted on purpose
}

// Path returns the directory that a tape:// URL or a plain path names. tape://DIR keeps DIR as written,
// relative or absolute.
func Path(name string) (string, error) {
	if dir, ok := strings.CutPrefix(name, "tape://"); ok {
		if dir, err := url.PathUnescape(dir); err == nil && dir != "" {
			return filepath.Clean(dir), nil
		}
		return "", fmt.Errorf("tape URL %q: no directory (want tape://DIR)", name)
	}
	if scheme, _, ok := strings.Cut(name, "://"); ok {
		return "", fmt.Errorf("tape URL %q: scheme %q is not tape", name, scheme)
	}
	if name == "" {
		return "", errors.New("tape: no directory given")
	}
	return filepath.Clean(name), nil
}

// load reads the index of a tape directory or of one segment file. A damaged end is left out and noted
// in the last segment's cut; damage before that is an error, unless deep, which keeps every segment's cut.
func load(name string, deep bool) (ix *index, err error) {
	path, err := Path(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open tape %q: %w", path, err)
		}
	}()
	info, err := os.Stat(path)
	if err != nil {
		return nil, plain(err)
	}
	ix = &index{dir: path}
	if !info.IsDir() {
		ix.dir, ix.file = filepath.Dir(path), true
		if err := ix.read([]string{path}, math.MaxUint64, deep); err != nil {
			return nil, plain(err)
		}
		if s := &ix.segs[0]; s.end == 0 {
			return nil, fmt.Errorf("offset 0: %s", s.cut.Cause)
		}
		return ix, nil
	}
	limit, live, err := readLock(filepath.Join(path, lockName))
	if err != nil {
		return nil, err
	}
	ix.live = live
	paths, _, err := listSegments(path)
	if err != nil {
		return nil, plain(err)
	}
	if len(paths) == 0 {
		if _, err := os.Stat(filepath.Join(path, metaName)); err != nil {
			return nil, errors.New("holds no tape (no *.tape file)")
		}
	}
	m, err := readMeta(path) // later than the list: what a writer deletes meanwhile is in it
	if err != nil {
		return nil, err
	}
	ix.expired = m.expired()
	if !live {
		paths, _ = unexpired(paths, ix.expired)
	}
	return ix, ix.read(paths, limit, deep)
}

func (ix *index) read(paths []string, limit uint64, deep bool) error {
	for i, p := range paths {
		s, err := readSegment(p, limit, deep)
		if err != nil {
			if ix.live && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return err
		}
		if ix.live && i > 0 && (s.cut.Cause != "" || s.head.firstBlock >= limit) {
			continue // being made right now
		}
		ix.segs = append(ix.segs, s)
	}
	if deep {
		return nil
	}
	if err := ix.gaps(hole); err != nil {
		return err
	}
	return ix.end()
}

// end tells a crash, whose torn end is passed over, from damage to a tape that was closed.
func (ix *index) end() error {
	if len(ix.segs) == 0 || ix.live || ix.file {
		return nil
	}
	s := &ix.segs[len(ix.segs)-1]
	if s.closed {
		return nil
	}
	m, err := readMeta(ix.dir)
	if err != nil {
		return err
	}
	if n := len(m.Runs); n == 0 || m.Runs[n-1].End == nil || m.Runs[n-1].Error != "" {
		return nil
	}
	cause := s.cut
	if cause.Cause == "" {
		cause = Cut{Offset: s.end, Cause: "the footer is missing"}
	}
	return fmt.Errorf("%s: offset %d: %s, on a tape that had been closed (recovering the tape keeps what is before)", s.path, cause.Offset, cause.Cause)
}

// gaps calls f for every two segments that do not follow each other, with what is known of the cause.
func (ix *index) gaps(f func(s, n *segment, cause Cut) error) error {
	var last *segment
	var cause Cut
	for i := range ix.segs {
		n := &ix.segs[i]
		if n.end == 0 { // its header is bad: it counts for nothing
			if cause = n.cut; last == nil {
				last = &segment{path: n.path}
			}
			continue
		}
		if last != nil && (last.nextRe != n.head.firstRe || last.nextBlock != n.head.firstBlock) {
			if last.cut.Cause != "" {
				cause = last.cut
			}
			if err := f(last, n, cause); err != nil {
				return err
			}
		}
		last, cause = n, Cut{}
	}
	return nil
}

// lost is the number of exchanges that are known to be missing after segment i, and before the first.
func (ix *index) lost(i int) uint64 {
	s := &ix.segs[i]
	n := s.nextRe - s.endRe()
	if i == 0 && !ix.file && s.head.firstRe > ix.expired.record {
		n += s.head.firstRe - ix.expired.record
	}
	return n
}

// hole says in one line what is missing between s and n.
func hole(s, n *segment, cause Cut) error {
	if n.head.firstRe < s.endRe() {
		return fmt.Errorf("%s: offset 0: it starts with exchange %d, but %s goes up to %d", n.path, n.head.firstRe, filepath.Base(s.path), s.endRe())
	}
	if cause.Cause == "" {
		cause = Cut{File: s.path, Offset: s.end, Cause: "the segment after it is missing"}
	}
	return fmt.Errorf("%s: offset %d: %s: %d exchanges are lost (recovering the tape keeps the rest)", cause.File, cause.Offset, cause.Cause, n.head.firstRe-s.endRe())
}

// plain drops the operation and path from a file error that already stands in a line with both.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
