package codec

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// Lines reads a file line by line, in memory bounded by the longest line it takes.
type Lines struct {
	opts *Options
	r    *bufio.Reader
	max  int
	long []byte
	n    int
}

// NewLines reads lines of up to max bytes from r; 0 means MaxEntry.
func NewLines(r io.Reader, o *Options, max int) *Lines {
	if max == 0 {
		max = MaxEntry
	}
	return &Lines{opts: o, r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// Next returns the next line that is not empty, without its end, valid until the following call. A line that is too
// long is passed over and is a *recorder.Lost.
func (l *Lines) Next() ([]byte, error) {
	for {
		line, err := l.line()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSuffix(line, []byte("\r")); len(bytes.TrimSpace(line)) > 0 {
			return line, nil
		}
	}
}

// Any is Next, empty lines included.
func (l *Lines) Any() ([]byte, error) {
	line, err := l.line()
	return bytes.TrimSuffix(line, []byte("\r")), err
}

// Number is that of the line returned last, from 1.
func (l *Lines) Number() int { return l.n }

// At is Number as text.
func (l *Lines) At() string { return strconv.Itoa(l.n) }

func (l *Lines) line() ([]byte, error) {
	b, err := l.r.ReadSlice('\n')
	if err == nil {
		l.n++
		return b[:len(b)-1], nil
	}
	l.long = l.long[:0]
	over := false
	for {
		if over = over || len(l.long)+len(b) > l.max; !over {
			l.long = append(l.long, b...)
		}
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(l.long) > 0, errors.Is(err, io.EOF) && over:
			l.n++
			if over {
				return nil, l.opts.TooLarge(l.At(), l.max)
			}
			return bytes.TrimSuffix(l.long, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		b, err = l.r.ReadSlice('\n')
	}
}
