// Package parquet writes Apache Parquet, for data tools: one row an exchange, typed columns, zstd.
//
// It is written only: a Parquet file cannot be read from a stream. Rows are kept in memory up to a row group.
package parquet

import (
	"context"
	"encoding/hex"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/redlane/redlane/internal/parquetfile"
	"github.com/redlane/redlane/recorder/format/codec"
	"github.com/redlane/redlane/traffic"
)

// Format is the entry in the table of formats.
var Format = codec.Format{
	Name: "parquet", About: "Apache Parquet, for data tools; written only",
	Extensions: []string{".parquet"},
	Create:     func(w io.Writer, _ codec.Options) (traffic.Sink, error) { return newWriter(w), nil },
}

// A row is an exchange as columns. Names of columns are those of JSON lines, where these have them.
type row struct {
	ID         uint64  `parquet:"id"`
	Time       int64   `parquet:"time,timestamp(nanosecond)"`
	Session    uint64  `parquet:"session"`
	Seq        uint64  `parquet:"seq"`
	Caller     string  `parquet:"caller,dict"`
	CallerLane string  `parquet:"caller_lane,dict"`
	Service    string  `parquet:"service,dict"`
	From       string  `parquet:"from,dict"`
	Endpoint   string  `parquet:"endpoint,dict"`
	Color      string  `parquet:"color,dict"`
	Lane       string  `parquet:"lane,dict"`
	LaneReason string  `parquet:"lane_reason,dict"`
	FirstByte  int64   `parquet:"first_byte_ns"`
	Latency    int64   `parquet:"latency_ns"`
	Flags      string  `parquet:"flags,dict"`
	FaultRule  string  `parquet:"fault_rule,dict"`
	FaultKind  string  `parquet:"fault_kind,dict"`
	FaultHit   bool    `parquet:"fault_hit"`
	FaultDelay int64   `parquet:"fault_delay_ns"`
	Trace      string  `parquet:"trace"`
	Weight     float32 `parquet:"weight"`

	Method           string   `parquet:"method,dict"`
	Target           string   `parquet:"target"`
	RequestMinor     uint32   `parquet:"request_minor"`
	RequestHeaders   []header `parquet:"request_headers,list"`
	RequestTrailers  []header `parquet:"request_trailers,list"`
	RequestBody      []byte   `parquet:"request_body"`
	RequestBodySize  int64    `parquet:"request_body_size"`
	Status           int32    `parquet:"status"`
	Reason           string   `parquet:"reason,dict"`
	ResponseMinor    uint32   `parquet:"response_minor"`
	ResponseHeaders  []header `parquet:"response_headers,list"`
	ResponseTrailers []header `parquet:"response_trailers,list"`
	ResponseBody     []byte   `parquet:"response_body"`
	ResponseBodySize int64    `parquet:"response_body_size"`
}

type header struct {
	Name  string `parquet:"name,dict"`
	Value string `parquet:"value"`
}

// A writer is a Sink of rows.
type writer struct {
	w     *parquetfile.Writer[row]
	notes codec.Notes
	odd   bool // the row had text that is not UTF-8
}

func newWriter(w io.Writer) *writer { return &writer{w: parquetfile.New[row](w)} }

// Put adds a row.
func (w *writer) Put(_ context.Context, x *traffic.Exchange) error {
	w.odd = false
	q, a := &x.Request, &x.Response
	if int(int32(a.Status)) != a.Status {
		return &codec.Refusal{Why: "status"}
	}
	r := w.w.Row()
	*r = row{
		ID: x.ID, Time: x.Start, Session: x.Session, Seq: x.Seq, Caller: w.text(x.Src), CallerLane: w.text(string(x.SrcLane)), Service: w.text(x.Dst),
		Color: w.text(string(x.Color)), Lane: w.text(string(x.Lane)), LaneReason: x.LaneReason.String(),
		FirstByte: int64(x.FirstByte), Latency: int64(x.Latency),
		FaultRule: w.text(x.Fault.Rule), FaultKind: w.text(x.Fault.Kind), FaultHit: x.Fault.Hit, FaultDelay: int64(x.Fault.Delay), Weight: x.Weight,
		Method: w.text(string(q.Method)), Target: w.text(string(q.Target)), RequestMinor: uint32(q.Minor), RequestBody: q.Body, RequestBodySize: q.BodySize,
		RequestHeaders: w.lines(r.RequestHeaders, q.Headers), RequestTrailers: w.lines(r.RequestTrailers, q.Trailers),
		Status: int32(a.Status), Reason: w.text(string(a.Reason)), ResponseMinor: uint32(a.Minor), ResponseBody: a.Body, ResponseBodySize: a.BodySize,
		ResponseHeaders: w.lines(r.ResponseHeaders, a.Headers), ResponseTrailers: w.lines(r.ResponseTrailers, a.Trailers),
	}
	if x.SrcAddr.IsValid() {
		r.From = x.SrcAddr.String()
	}
	if x.DstAddr.IsValid() {
		r.Endpoint = x.DstAddr.String()
	}
	if x.Flags != 0 {
		r.Flags = x.Flags.String()
	}
	if x.Trace != ([16]byte{}) {
		r.Trace = hex.EncodeToString(x.Trace[:])
	}
	if w.odd {
		w.notes.Note("text that is not UTF-8 replaced in part")
	}
	return w.w.Write(size(x))
}

// text is s, made UTF-8: columns of text must be that.
func (w *writer) text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	w.odd = true
	return strings.ToValidUTF8(s, "\uFFFD")
}

func (w *writer) lines(to []header, from []traffic.Header) []header {
	to = to[:0]
	for _, h := range from {
		to = append(to, header{w.text(string(h.Name)), w.text(string(h.Value))})
	}
	return to
}

func size(x *traffic.Exchange) int {
	n := 256 + len(x.Request.Target) + len(x.Request.Body) + len(x.Response.Body)
	for _, hs := range [...][]traffic.Header{x.Request.Headers, x.Request.Trailers, x.Response.Headers, x.Response.Trailers} {
		for _, h := range hs {
			n += len(h.Name) + len(h.Value) + 32
		}
	}
	return n
}

// Notes say what was not written whole.
func (w *writer) Notes() codec.Notes { return w.notes }

// Close writes the last row group and what makes the file one.
func (w *writer) Close() error { return w.w.Close() }
