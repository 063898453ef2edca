// Package vegeta reads and writes the targets of the load tester vegeta, in both of its formats: one JSON object a
// line, and its plain text. Targets are requests only, without times: the nth starts n nanoseconds after 1970, so that
// every store keeps their order, and a replay sends them at a rate of its own.
package vegeta

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// JSON and Text are the entries in the table of formats.
var (
	JSON = codec.Format{
		Name: "vegeta", About: "targets of vegeta, a JSON object a line: requests only",
		Extensions: []string{".targets"},
		Detect:     detectJSON,
		Open:       func(r io.Reader, o codec.Options) (traffic.Source, error) { return newJSONReader(r, o), nil },
		Create:     func(w io.Writer, o codec.Options) (traffic.Sink, error) { return newWriter(w, o, appendJSON), nil },
	}
	Text = codec.Format{
		Name: "vegeta-http", About: "targets of vegeta as text: requests only, with bodies in files of their own",
		Detect: func(head []byte) bool { return firstLine.Match(head) },
		Open:   func(r io.Reader, o codec.Options) (traffic.Source, error) { return newTextReader(r, o), nil },
		Create: func(w io.Writer, o codec.Options) (traffic.Sink, error) { return newWriter(w, o, appendText), nil },
	}
)

var firstLine = regexp.MustCompile(`^(\s|#[^\n]*\n)*[A-Z]+ https?://`)

// A target is one request.
type target struct {
	method, url string
	headers     []traffic.Header
	body        []byte
}

// A numbered gives targets their place.
type numbered struct {
	n       int64
	numbers *codec.Numbers
}

var errURL = errors.New("the target has no method or no absolute URL")

// fill makes an exchange of t.
func (s *numbered) fill(x *traffic.Exchange, t *target) error {
	_, rest, ok := strings.Cut(t.url, "://")
	if !ok || t.method == "" || strings.ContainsFunc(t.url, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return errURL
	}
	rest, _, _ = strings.Cut(rest, "#")
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		i = len(rest)
	}
	host, path := rest[:i], rest[i:]
	if host == "" {
		return errURL
	}
	if path == "" || path[0] == '?' {
		path = "/" + path
	}
	s.n++
	x.Reset()
	x.Start = s.n
	m := &x.Request
	m.Method, m.Target, m.Minor = []byte(t.method), []byte(path), 1
	m.Headers = append(m.Headers, t.headers...)
	if m.Get("host") == nil {
		m.Headers = append([]traffic.Header{{Name: []byte("Host"), Value: []byte(host)}}, m.Headers...)
	}
	m.Body, m.BodySize = t.body, int64(len(t.body))
	s.numbers.Fill(x, nil)
	x.Session = s.numbers.Own()
	return nil
}

// urlOf is the absolute URL of a request; base is used where it names no host.
func urlOf(b []byte, m *traffic.Message, base string) ([]byte, error) {
	switch {
	case bytes.Contains(m.Target, []byte("://")):
		return append(b, m.Target...), nil
	case len(m.Target) == 0 || m.Target[0] != '/':
		return b, &codec.Refusal{Why: "target"} // CONNECT, OPTIONS *
	}
	if host := m.Get("host"); len(host) > 0 {
		b = append(append(b, "http://"...), host...)
	} else {
		b = append(b, strings.TrimSuffix(base, "/")...)
	}
	return append(b, m.Target...), nil
}
