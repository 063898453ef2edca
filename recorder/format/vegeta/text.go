package vegeta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// A textReader is a Source of targets as text:
//
//	POST http://goku:9090/path
//	X-Account-ID: 8675309
//	@body.json
type textReader struct {
	opts  codec.Options
	lines *codec.Lines
	next  []byte // a line that belongs to the next target
	line  int    // of the target's first line
	numbered
}

func newTextReader(r io.Reader, o codec.Options) *textReader {
	rd := &textReader{opts: o, numbered: numbered{numbers: codec.NewNumbers(o.Name)}}
	rd.lines = codec.NewLines(r, &rd.opts, 1<<20)
	return rd
}

func (r *textReader) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := r.target()
	if err == nil {
		err = r.fill(x, &t)
	} else if !errors.As(err, new(*wrong)) {
		return err
	}
	if err != nil {
		return r.opts.BadEntry(fmt.Sprint(r.line), err)
	}
	return nil
}

func (*textReader) Close() error { return nil }

// wrong is an error of one target.
type wrong struct{ error }

var starts = regexp.MustCompile(`^[A-Z]+\s`)

// target reads up to the empty line or the body that ends a target. What is wrong with it is told once it is over.
func (r *textReader) target() (t target, err error) {
	line := r.next
	for r.next = nil; len(line) == 0 || line[0] == '#'; {
		if line, err = r.lines.Next(); err != nil {
			return t, err
		}
		line = bytes.TrimSpace(line)
	}
	r.line = r.lines.Number()
	method, url, ok := bytes.Cut(line, []byte(" "))
	if !ok || !starts.Match(line) {
		err = &wrong{fmt.Errorf("%.100q begins no target: want METHOD URL", line)}
	}
	t.method, t.url = string(method), string(bytes.TrimSpace(url))
	for {
		line, end := r.lines.Any()
		line = bytes.TrimSpace(line)
		switch {
		case errors.Is(end, io.EOF):
			return t, err
		case end != nil:
			return t, end
		case len(line) == 0:
			return t, err
		case line[0] == '#':
			continue
		case line[0] == '@':
			body, bad := r.body(string(line[1:]))
			if t.body = body; bad != nil && err == nil {
				err = &wrong{bad}
			}
			return t, err
		case starts.Match(line) && len(t.headers) == 0:
			r.next = bytes.Clone(line) // targets without headers may follow each other at once
			return t, err
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if name, value = bytes.TrimSpace(name), bytes.TrimSpace(value); err == nil && (!ok || len(name) == 0 || len(value) == 0) {
			err = &wrong{fmt.Errorf("%.100q is no header", line)}
		}
		t.headers = append(t.headers, traffic.Header{Name: bytes.Clone(name), Value: bytes.Clone(value)})
	}
}

// body reads the file of a body. It lies in the folder of the targets or below: a list of targets that somebody sent
// must not put other files of this machine on a tape.
func (r *textReader) body(name string) ([]byte, error) {
	root, err := os.OpenRoot(filepath.Dir(r.opts.Name))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("body (of the folder of the targets, or below): %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("body %s is no regular file", name)
	case info.Size() > codec.MaxEntry:
		return nil, fmt.Errorf("body %s is longer than %d bytes", name, codec.MaxEntry)
	}
	return io.ReadAll(io.LimitReader(f, codec.MaxEntry))
}

var method = regexp.MustCompile(`^[A-Z]+$`)

// appendText writes a target as text. It has no place for a body, nor for a header without a value.
func appendText(b []byte, m *traffic.Message, base string, _ *codec.Notes) ([]byte, error) {
	if len(m.Body) > 0 {
		return b, &codec.Refusal{Why: "body"}
	}
	if !method.Match(m.Method) {
		return b, &codec.Refusal{Why: "method"}
	}
	b = append(append(b, m.Method...), ' ')
	at := len(b)
	b, err := urlOf(b, m, base)
	if err != nil || bytes.ContainsAny(b[at:], " \t\r\n") {
		return b, &codec.Refusal{Why: "target"}
	}
	b = append(b, '\n')
	for _, h := range m.Headers {
		name, value := bytes.TrimSpace(h.Name), bytes.TrimSpace(h.Value)
		if len(name) != len(h.Name) || len(value) != len(h.Value) || len(value) == 0 || len(name) == 0 ||
			name[0] == '@' || name[0] == '#' || bytes.ContainsAny(name, ":\r\n \t") || bytes.ContainsAny(value, "\r\n") {
			return b, &codec.Refusal{Why: "header"}
		}
		b = append(append(append(b, name...), ": "...), value...)
		b = append(b, '\n')
	}
	return append(b, '\n'), nil
}
