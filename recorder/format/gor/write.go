package gor

import (
	"bufio"
	"context"
	"io"
	"strconv"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// A writer is a Sink of request and response records.
type writer struct {
	w     *bufio.Writer
	buf   []byte
	notes codec.Notes
	msg   codec.Writer

	start, at int64 // of the exchange before: as it was, and as it was written
}

const noteApart = "moved by nanoseconds, apart from others of one time"

func newWriter(w io.Writer) *writer {
	wr := &writer{w: bufio.NewWriterSize(w, 64<<10)}
	wr.msg = codec.Writer{Split: []byte(marker), Forbidden: []byte(separator), Notes: &wr.notes}
	return wr
}

// Put writes the request and, where one came, the response. What is no HTTP message is refused whole.
func (w *writer) Put(_ context.Context, x *traffic.Exchange) (err error) {
	if x.Flags.Has(traffic.FlagOpaque) {
		return &codec.Refusal{Why: "opaque"}
	}
	// GoReplay sends requests of one time in any order, and pipelined ones have one time.
	start, at := x.Start, x.Start
	if start >= w.start && start <= w.at {
		at = w.at + 1
	}
	if start < 0 || x.FirstByte < 0 || at+int64(x.FirstByte) < 0 { // times have no sign
		return &codec.Refusal{Why: "time"}
	}
	b := w.head(w.buf[:0], request, x, at, 0)
	if b, err = w.msg.Request(b, &x.Request, x.Flags.Has(traffic.FlagRequestCut)); err != nil {
		return err
	}
	b = append(b, separator...)
	if x.Response.Status != 0 {
		b = w.head(b, response, x, at+int64(x.FirstByte), int64(max(0, x.Latency-x.FirstByte)))
		if b, err = w.msg.Response(b, &x.Response, x.Request.Method, x.Flags.Has(traffic.FlagResponseCut)); err != nil {
			return err
		}
		b = append(b, separator...)
	}
	if x.Flags.Has(traffic.FlagContinued | traffic.FlagInterim) {
		w.notes.Note(codec.NoteInterim)
	}
	if w.start, w.at = start, at; at != start {
		w.notes.Note(noteApart)
	}
	if w.buf = b; cap(b) > 1<<20 {
		w.buf = nil
	}
	_, err = w.w.Write(b)
	return err
}

func (w *writer) head(b []byte, kind byte, x *traffic.Exchange, at, dur int64) []byte {
	b = append(appendID(append(b, kind, ' '), x.Session, x.Seq), ' ')
	b = append(strconv.AppendInt(b, at, 10), ' ')
	return append(strconv.AppendInt(b, dur, 10), '\n')
}

// Notes say what was not written whole.
func (w *writer) Notes() codec.Notes { return w.notes }

func (w *writer) Close() error { return w.w.Flush() }
