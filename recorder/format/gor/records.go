package gor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/redlane/redlane/recorder/format/codec"
)

// A record is one message with its head. payload and head.id are valid until the next call.
type record struct {
	head
	payload []byte
	from    *codec.Options // of its file
	line    int            // of its head
}

// records reads a file record by record.
type records struct {
	opts codec.Options
	r    io.Reader
	buf  []byte
	off  int // of what is not read yet
	eof  bool
	line int // of buf[off]
	ends ends

	// bodiless says that the response with this id has no body whatever its head says: it answers HEAD.
	bodiless func(id []byte) bool
}

func newRecords(r io.Reader, o codec.Options) *records {
	return &records{opts: o, r: r, line: 1}
}

// next returns io.EOF after the last record, and a *recorder.Lost for what is none.
func (s *records) next() (rec record, err error) {
	for {
		end, err := s.find(0, []byte("\n"), maxHead)
		switch {
		case errors.Is(err, errFar):
			return rec, s.skip(errHead)
		case err != nil:
			return rec, err
		case end < 0 && len(s.rest()) > 0:
			return rec, s.skip(errHead)
		case end < 0:
			return rec, io.EOF
		}
		if end == 0 { // an empty line between records
			s.advance(1)
			continue
		}
		if rec.head, err = parseHead(s.rest()[:end]); err != nil {
			return rec, s.skip(err)
		}
		whole := rec.kind == response && s.bodiless != nil && s.bodiless(rec.id)
		size, err := s.payload(end+1, whole)
		if err != nil {
			return rec, err
		}
		all := s.rest()
		rec.from, rec.line, rec.payload = &s.opts, s.line, all[end+1:end+1+size]
		rec.id = all[2 : 2+len(rec.id)]
		s.advance(end + 1 + size + len(separator))
		return rec, nil
	}
}

func (s *records) rest() []byte { return s.buf[s.off:] }

func (s *records) advance(n int) {
	s.line += bytes.Count(s.buf[s.off:s.off+n], []byte("\n"))
	s.off += n
}

// skip passes over everything up to the next separator.
func (s *records) skip(cause error) error {
	at := strconv.Itoa(s.line)
	for {
		end, err := s.find(0, []byte(separator), codec.MaxEntry)
		switch {
		case errors.Is(err, errFar):
			s.advance(len(s.rest()) - len(separator))
			continue
		case err != nil:
			return err
		case end < 0:
			s.advance(len(s.rest()))
		default:
			s.advance(end + len(separator))
		}
		return s.opts.BadEntry(at, cause)
	}
}

var errCutFile = errors.New("the file ends inside a record")

// payload is the size of the payload that begins at from: up to the separator, or up to a later one where the
// message says that it is longer and a separator stands where it ends. whole says that it has no body.
func (s *records) payload(from int, whole bool) (int, error) {
	at := strconv.Itoa(s.line)
	end, err := s.find(from, []byte(separator), codec.MaxEntry)
	switch {
	case errors.Is(err, errFar):
		if err := s.skip(errCutFile); isFatal(err) {
			return 0, err
		}
		return 0, s.opts.TooLarge(at, codec.MaxEntry)
	case err != nil:
		return 0, err
	case end < 0:
		return 0, s.skip(errCutFile)
	}
	if !whole {
		if size, err := s.join(from, end); size > 0 || err != nil {
			return size, err
		}
	}
	return end - from, nil
}

// join is the size of the message whose payload begins at from, when it goes on behind the separator at end and
// there is one where it ends. Otherwise it is 0.
func (s *records) join(from, end int) (int, error) {
	for missing := s.ends.begin(s.rest()[from:end]); missing > 0; {
		var to int
		if missing == unknown { // up to the next separator: it cannot end elsewhere
			i, err := s.find(end+1, []byte(separator), codec.MaxEntry)
			if i < 0 {
				return 0, ignoreFar(err)
			}
			to = i
		} else {
			if missing > codec.MaxEntry-int64(end-from) {
				return 0, nil
			}
			to = end + int(missing)
			if err := s.fill(to + len(separator)); err != nil {
				return 0, err
			}
		}
		b := s.rest()
		if len(b) < to+len(separator) || to-from > codec.MaxEntry {
			return 0, nil
		}
		missing = s.ends.more(b[end:to])
		if end = to; missing == 0 && bytes.HasPrefix(b[to:], []byte(separator)) {
			return to - from, nil
		}
	}
	return 0, nil
}

func ignoreFar(err error) error {
	if errors.Is(err, errFar) {
		return nil
	}
	return err
}

// errFar: what was looked for is further away than the limit.
var errFar = errors.New("too far")

// find is the place of what in what is not read yet, at or after from; -1 when the file ends before.
func (s *records) find(from int, what []byte, limit int) (int, error) {
	for {
		b := s.rest()
		if from < len(b) {
			if i := bytes.Index(b[from:], what); i >= 0 {
				return from + i, nil
			}
			if len(b) > limit {
				return -1, errFar
			}
		}
		if s.eof {
			return -1, nil
		}
		from = max(from, len(b)-len(what)+1)
		if err := s.fill(len(b) + 1); err != nil {
			return -1, err
		}
	}
}

// fill reads until there are n bytes, or the file ends.
func (s *records) fill(n int) error {
	for len(s.buf)-s.off < n && !s.eof {
		if s.off > 0 && cap(s.buf)-len(s.buf) < 32<<10 {
			s.buf = s.buf[:copy(s.buf, s.buf[s.off:])]
			s.off = 0
		}
		if cap(s.buf)-len(s.buf) < 32<<10 {
			grown := make([]byte, len(s.buf), max(256<<10, 2*cap(s.buf)))
			copy(grown, s.buf)
			s.buf = grown
		}
		got, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+got]
		if errors.Is(err, io.EOF) {
			s.eof = true
		} else if err != nil {
			return fmt.Errorf("read %s: %w", s.opts.Name, err)
		}
	}
	return nil
}
