package har

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/redlane/redlane/recorder/format/codec"
)

// A stream walks a HAR to its entries and yields them one at a time.
type stream struct {
	dec     *json.Decoder
	guard   *guard
	max     int64 // bytes of one value; MaxEntry but for tests
	n       int   // entries so far
	started bool
}

// A guard keeps one value of the file from filling the memory.
type guard struct {
	r    io.Reader
	left int64
}

var errLarge = fmt.Errorf("a value of the file is longer than %d bytes", codec.MaxEntry)

func (g *guard) Read(b []byte) (int, error) {
	if g.left <= 0 {
		return 0, errLarge
	}
	n, err := g.r.Read(b[:min(int64(len(b)), g.left)])
	g.left -= int64(n)
	return n, err
}

func newStream(r io.Reader) *stream {
	br := bufio.NewReaderSize(r, 64<<10)
	if b, _ := br.Peek(3); bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		_, _ = br.Discard(3) // it is in the buffer
	}
	g := &guard{r: br, left: codec.MaxEntry}
	return &stream{dec: json.NewDecoder(g), guard: g, max: codec.MaxEntry}
}

var errShape = errors.New(`it is no HAR: want an object "log" with a list "entries"`)

// next decodes the next entry into e. io.EOF comes after the last; a *json.UnmarshalTypeError leaves the stream
// in order, any other error ends it.
func (s *stream) next(e *entry) error {
	if !s.started {
		s.started = true
		if err := s.open(); err != nil {
			return s.at(err)
		}
	}
	s.guard.left = s.max
	if !s.dec.More() {
		return s.close()
	}
	s.n++
	*e = entry{}
	err := s.dec.Decode(e)
	var wrong *json.UnmarshalTypeError
	if err == nil || errors.As(err, &wrong) {
		return err
	}
	return s.at(err)
}

// at says where in the file an error was found.
func (s *stream) at(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("byte %d: %w", s.dec.InputOffset(), err)
}

// open goes to the first entry.
func (s *stream) open() error {
	if err := s.expect(json.Delim('{')); err != nil {
		return err
	}
	if err := s.find("log"); err != nil {
		return err
	}
	if err := s.expect(json.Delim('{')); err != nil {
		return err
	}
	if err := s.find("entries"); err != nil {
		return err
	}
	return s.expect(json.Delim('['))
}

func (s *stream) expect(want json.Delim) error {
	t, err := s.dec.Token()
	if err != nil {
		return err
	}
	if t != want {
		return errShape
	}
	return nil
}

// find passes over the keys of an object before this one.
func (s *stream) find(key string) error {
	for s.dec.More() {
		t, err := s.dec.Token()
		if err != nil {
			return err
		}
		if t == key {
			return nil
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
	if _, err := s.dec.Token(); err != nil {
		return err
	}
	return errShape
}

// skip passes over one value, of any size, token by token.
func (s *stream) skip() error {
	for depth := 0; ; {
		s.guard.left = s.max
		t, err := s.dec.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// close reads what stands behind the entries, so that a file that was cut is found out.
func (s *stream) close() error {
	for depth := 3; depth > 0; {
		s.guard.left = s.max
		t, err := s.dec.Token()
		if err != nil {
			return s.at(err)
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return io.EOF
}
