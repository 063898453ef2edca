package vegeta

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"unicode/utf8"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// A writer is a Sink of targets in one of the formats.
type writer struct {
	w      *bufio.Writer
	base   string
	append func(b []byte, m *traffic.Message, base string, notes *codec.Notes) ([]byte, error)
	notes  codec.Notes
	buf    []byte
}

func newWriter(w io.Writer, o codec.Options, f func([]byte, *traffic.Message, string, *codec.Notes) ([]byte, error)) *writer {
	wr := &writer{w: bufio.NewWriterSize(w, 64<<10), base: o.Base, append: f}
	if wr.base == "" {
		wr.base = "http://localhost"
	}
	return wr
}

// Put writes the request of x.
func (w *writer) Put(_ context.Context, x *traffic.Exchange) (err error) {
	m := &x.Request
	if x.Flags.Has(traffic.FlagOpaque) {
		return &codec.Refusal{Why: "opaque"}
	}
	if w.buf, err = w.append(w.buf[:0], m, w.base, &w.notes); err != nil {
		return err
	}
	if len(m.Trailers) > 0 {
		w.notes.Note("trailers left out")
	}
	if x.Flags.Has(traffic.FlagRequestCut) {
		w.notes.Note("looks whole though its body was cut")
	}
	_, err = w.w.Write(w.buf)
	return err
}

// Notes say what was not written whole.
func (w *writer) Notes() codec.Notes { return w.notes }

func (w *writer) Close() error { return w.w.Flush() }

func plain(s string) bool { return utf8.ValidString(s) }

func quote(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string is always JSON: " + err.Error())
	}
	return append(b, q...)
}
