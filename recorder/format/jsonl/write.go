// Package jsonl is redlane's own text format: one JSON object a line, which says everything that a tape does.
//
//	{"id":"…","time":"…","session":"…","seq":0,…,"request":{"method":"GET",…},"response":{"status":200,…}}
//
// Headers are lists of [name, value] in the order of the wire. Text that is not UTF-8 is an object with its
// bytes: {"base64": "…"}. docs/formats.md has all keys.
package jsonl

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// Format is the entry in the table of formats.
var Format = codec.Format{
	Name: "jsonl", About: "JSON lines, redlane's own: everything a tape holds",
	Extensions: []string{".jsonl", ".ndjson"}, Detect: detect,
	Open:   func(r io.Reader, o codec.Options) (traffic.Source, error) { return newReader(r, o), nil },
	Create: func(w io.Writer, _ codec.Options) (traffic.Sink, error) { return NewWriter(w), nil },
}

// A Writer is a Sink of lines.
type Writer struct {
	w   *bufio.Writer
	buf []byte
}

// NewWriter writes to w; Close flushes.
func NewWriter(w io.Writer) *Writer { return &Writer{w: bufio.NewWriterSize(w, 64<<10)} }

// Put writes x as one line.
func (w *Writer) Put(_ context.Context, x *traffic.Exchange) error {
	w.buf = append(Append(w.buf[:0], x), '\n')
	_, err := w.w.Write(w.buf)
	return err
}

// Close flushes.
func (w *Writer) Close() error { return w.w.Flush() }

// Append appends x as one JSON object. What is zero or empty is left out, but for what every exchange has.
func Append(b []byte, x *traffic.Exchange) []byte {
	b = fmt.Appendf(b, `{"id":"%016x","time":"`, x.ID)
	b = time.Unix(0, x.Start).UTC().AppendFormat(b, time.RFC3339Nano)
	b = fmt.Appendf(b, `","session":"%016x","seq":%d`, x.Session, x.Seq)
	b = text(b, "caller", x.Src)
	b = text(b, "caller_lane", x.SrcLane)
	b = text(b, "service", x.Dst)
	if x.SrcAddr.IsValid() {
		b = text(b, "from", x.SrcAddr.String())
	}
	if x.DstAddr.IsValid() {
		b = text(b, "endpoint", x.DstAddr.String())
	}
	b = text(b, "color", x.Color)
	b = text(b, "lane", x.Lane)
	b = text(b, "lane_reason", x.LaneReason.String())
	b = number(b, "first_byte_ns", int64(x.FirstByte))
	b = number(b, "latency_ns", int64(x.Latency))
	if x.Flags != 0 {
		b = text(b, "flags", x.Flags.String())
	}
	if x.Fault != (traffic.Injected{}) {
		b = append(b, `,"fault":{"hit":`...)
		b = strconv.AppendBool(b, x.Fault.Hit)
		b = text(b, "rule", x.Fault.Rule)
		b = text(b, "kind", x.Fault.Kind)
		b = append(number(b, "delay_ns", int64(x.Fault.Delay)), '}')
	}
	if x.Trace != ([16]byte{}) {
		b = text(b, "trace", hex.EncodeToString(x.Trace[:]))
	}
	if x.Weight != 1 {
		b = strconv.AppendFloat(append(b, `,"weight":`...), float64(x.Weight), 'g', -1, 32)
	}
	b = message(append(b, `,"request":{`...), &x.Request)
	b = message(append(b, `,"response":{`...), &x.Response)
	return append(b, '}')
}

func message(b []byte, m *traffic.Message) []byte {
	b = strconv.AppendUint(append(b, `"minor":`...), uint64(m.Minor), 10)
	b = text(b, "method", m.Method)
	b = text(b, "target", m.Target)
	b = number(b, "status", int64(m.Status))
	b = text(b, "reason", m.Reason)
	b = headers(append(b, `,"headers":[`...), m.Headers)
	if len(m.Trailers) > 0 {
		b = headers(append(b, `,"trailers":[`...), m.Trailers)
	}
	b = text(b, "body", m.Body)
	b = strconv.AppendInt(append(b, `,"body_size":`...), m.BodySize, 10)
	return append(b, '}')
}

func headers(b []byte, hs []traffic.Header) []byte {
	for i := range hs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, '['), hs[i].Name)
		b = appendText(append(b, ','), hs[i].Value)
		b = append(b, ']')
	}
	return append(b, ']')
}

// text adds a key that is not the first, unless v is empty.
func text[S ~string | ~[]byte](b []byte, key string, v S) []byte {
	if len(v) == 0 {
		return b
	}
	b = append(append(append(b, ',', '"'), key...), '"', ':')
	return appendText(b, v)
}

func number(b []byte, key string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(append(append(b, ',', '"'), key...), '"', ':')
	return strconv.AppendInt(b, n, 10)
}

const digits = "0123456789abcdef"

// appendText writes v as a JSON string, or as its base64 where it is not UTF-8.
func appendText[S ~string | ~[]byte](b []byte, v S) []byte {
	if !utf8.ValidString(string(v)) {
		b = append(b, `{"base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(v))
		return append(b, '"', '}')
	}
	b = append(b, '"')
	from := 0
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, v[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(b, v[from:]...), '"')
}
