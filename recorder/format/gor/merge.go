package gor

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// merge reads the files of a set, x_0.gor, x_1.gor and so on, as one: by the time of their records.
func merge(names []string, open func(string) (io.ReadCloser, error)) (traffic.Source, error) {
	m := &set{open: open}
	for _, name := range names {
		f := &file{name: name}
		if err := f.look(open); err != nil {
			return nil, err
		}
		m.later = append(m.later, f)
	}
	slices.SortStableFunc(m.later, func(a, b *file) int { return cmp.Compare(a.rec.time, b.rec.time) })
	return newPairs(strings.Join(names, " "), m), nil
}

// A set is a recordSource. A file is open from its first record's turn to its last.
type set struct {
	open     func(string) (io.ReadCloser, error)
	later    []*file // not open yet, by the time of their first record
	now      []*file // open; few: the files of a set follow each other
	last     *file   // rec of it was yielded
	bodiless func([]byte) bool
}

// A file has the record that is its next.
type file struct {
	name string
	r    io.ReadCloser
	in   *records
	rec  record
	lost error // in place of rec
}

// look finds the time of the first record and closes the file again.
func (f *file) look(open func(string) (io.ReadCloser, error)) error {
	if err := f.start(open); err != nil {
		return err
	}
	for f.lost != nil {
		if err := f.advance(); err != nil {
			break // nothing but what is lost: it is told when its turn comes
		}
	}
	at := f.rec.time
	*f = file{name: f.name, r: f.r}
	f.rec.time = at
	return f.r.Close()
}

func (f *file) start(open func(string) (io.ReadCloser, error)) (err error) {
	if f.r, err = open(f.name); err != nil {
		return err
	}
	f.in = newRecords(f.r, codec.Options{Name: f.name})
	if err = f.advance(); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// advance reads the next record. It returns errors that end the file.
func (f *file) advance() error {
	rec, err := f.in.next()
	if isFatal(err) {
		f.rec.kind, f.lost = 0, nil
		return err
	}
	if f.lost = err; err == nil {
		f.rec = rec
	}
	return nil
}

func (m *set) setBodiless(f func([]byte) bool) { m.bodiless = f }

func (m *set) next() (record, error) {
	if f := m.last; f != nil {
		m.last = nil
		if err := f.advance(); errors.Is(err, io.EOF) {
			m.now = slices.DeleteFunc(m.now, func(o *file) bool { return o == f })
			if err := f.r.Close(); err != nil {
				return record{}, err
			}
		} else if err != nil {
			return record{}, err
		}
	}
	for {
		first := m.first()
		if len(m.later) > 0 && (first == nil || m.later[0].rec.time <= first.rec.time) {
			f := m.later[0]
			m.later = m.later[1:]
			if err := f.start(m.open); err != nil {
				return record{}, err
			}
			f.in.bodiless = m.bodiless
			if f.rec.kind == 0 && f.lost == nil { // it is empty
				if err := f.r.Close(); err != nil {
					return record{}, err
				}
				continue
			}
			m.now = append(m.now, f)
			continue
		}
		if first == nil {
			return record{}, io.EOF
		}
		m.last = first
		return first.rec, first.lost
	}
}

func (m *set) first() (first *file) {
	for _, f := range m.now {
		if f.lost != nil {
			return f
		}
		if first == nil || f.rec.time < first.rec.time {
			first = f
		}
	}
	return first
}

func (m *set) close() (err error) {
	for _, f := range m.now {
		err = errors.Join(err, f.r.Close())
	}
	m.now, m.later, m.last = nil, nil, nil
	return err
}
