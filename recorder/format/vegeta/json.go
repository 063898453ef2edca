package vegeta

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

func detectJSON(head []byte) bool {
	line, _, whole := bytes.Cut(bytes.TrimLeft(head, "\r\n \t"), []byte("\n"))
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	if whole {
		var t jsonTarget
		return json.Unmarshal(line, &t) == nil && t.Method != "" && t.URL != ""
	}
	// A long first line: the body may be what makes it so.
	return bytes.Contains(line, []byte(`"method":`)) && bytes.Contains(line, []byte(`"url":`)) && !bytes.Contains(line, []byte(`"status":`))
}

type jsonTarget struct {
	Method string  `json:"method"`
	URL    string  `json:"url"`
	Body   []byte  `json:"body"`
	Header ordered `json:"header"`
}

// ordered is an object of lists of texts, in the order of the file.
type ordered []traffic.Header

var errHeader = errors.New(`header: want {"Name": ["value", …], …}`)

func (o *ordered) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	*o = (*o)[:0]
	switch t, err := dec.Token(); {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('{'):
		return errHeader
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		var values []string
		if err := dec.Decode(&values); err != nil || !ok {
			return errHeader
		}
		for _, v := range values {
			*o = append(*o, traffic.Header{Name: []byte(name), Value: []byte(v)})
		}
	}
	return nil
}

// A jsonReader is a Source of targets, one a line.
type jsonReader struct {
	opts  codec.Options
	lines *codec.Lines
	numbered
}

func newJSONReader(r io.Reader, o codec.Options) *jsonReader {
	rd := &jsonReader{opts: o, numbered: numbered{numbers: codec.NewNumbers(o.Name)}}
	rd.lines = codec.NewLines(r, &rd.opts, 0)
	return rd
}

func (r *jsonReader) Next(ctx context.Context, x *traffic.Exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, err := r.lines.Next()
	if err != nil {
		return err
	}
	var t jsonTarget
	if err = json.Unmarshal(line, &t); err == nil {
		err = r.fill(x, &target{t.Method, t.URL, t.Header, t.Body})
	}
	if err != nil {
		return r.opts.BadEntry(r.lines.At(), err)
	}
	return nil
}

func (*jsonReader) Close() error { return nil }

// appendJSON writes a target as vegeta does: header lines of one name stand together, at the place of the first.
func appendJSON(b []byte, m *traffic.Message, base string, notes *codec.Notes) ([]byte, error) {
	url, err := urlOf(nil, m, base)
	if err != nil {
		return b, err
	}
	var scratch [4]string
	texts := append(scratch[:0], string(m.Method), string(url))
	for _, h := range m.Headers {
		texts = append(texts, string(h.Name), string(h.Value))
	}
	for _, t := range texts {
		if !plain(t) {
			return b, &codec.Refusal{Why: "not utf-8"}
		}
	}
	b = quote(append(b, `{"method":`...), string(m.Method))
	b = quote(append(b, `,"url":`...), string(url))
	if len(m.Body) > 0 {
		b = base64.StdEncoding.AppendEncode(append(b, `,"body":"`...), m.Body)
		b = append(b, '"')
	}
	if len(m.Headers) > 0 {
		b = append(b, `,"header":{`...)
		for i := range m.Headers {
			if b, err = appendHeader(b, m.Headers, i, notes); err != nil {
				return b, err
			}
		}
		b = append(b, '}')
	}
	return append(b, '}', '\n'), nil
}

// appendHeader writes the name of line i and the values of all lines of that name, unless an earlier line did.
func appendHeader(b []byte, hs []traffic.Header, i int, notes *codec.Notes) ([]byte, error) {
	for j := range i {
		if bytes.Equal(hs[j].Name, hs[i].Name) {
			return b, nil
		}
	}
	if i > 0 {
		b = append(b, ',')
	}
	b = append(quote(b, string(hs[i].Name)), ':', '[')
	b = quote(b, string(hs[i].Value))
	for j := i + 1; j < len(hs); j++ {
		if bytes.Equal(hs[j].Name, hs[i].Name) {
			if !bytes.Equal(hs[j-1].Name, hs[i].Name) {
				notes.Note("header lines moved to others of their name")
			}
			b = quote(append(b, ','), string(hs[j].Value))
		}
	}
	return append(b, ']'), nil
}
