package results

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/replayer"
)

// An entry is a record as files have it. The fields down to URL are those of vegeta's results, by name and by
// meaning; its decoders skip the others, which are ours.
type entry struct {
	Attack    string        `json:"attack" parquet:"attack,dict"` // the lane: vegeta plots a line for each
	Seq       uint64        `json:"seq" parquet:"seq"`
	Code      uint32        `json:"code" parquet:"code"`
	Timestamp time.Time     `json:"timestamp" parquet:"timestamp,timestamp(nanosecond)"`
	Latency   time.Duration `json:"latency" parquet:"latency_ns"`
	BytesOut  uint64        `json:"bytes_out" parquet:"bytes_out"`
	BytesIn   uint64        `json:"bytes_in" parquet:"bytes_in"`
	Error     string        `json:"error" parquet:"error,dict"`
	Method    string        `json:"method" parquet:"method,dict"`
	URL       string        `json:"url" parquet:"url"`

	Due      int64         `json:"due" parquet:"due,timestamp(nanosecond)"`   // Unix, ns
	Sent     int64         `json:"sent" parquet:"sent,timestamp(nanosecond)"` // Unix, ns; 0 when it never was
	Lag      time.Duration `json:"lag" parquet:"lag_ns"`                      // from due to sent; 0 when it never was
	FromSend time.Duration `json:"from_send" parquet:"from_send_ns"`          // 0 when it never was
	Lane     string        `json:"lane" parquet:"lane,dict"`
	Route    string        `json:"route" parquet:"route,dict"`
	Session  uint64        `json:"session" parquet:"session"`
}

// fill makes e of the record r of b. base is scheme and host of the target.
func (e *entry) fill(b *replayer.Batch, r *replayer.Record, base string, fromSend bool) {
	due := b.Started.Add(r.Due)
	*e = entry{
		Attack: string(b.Lane), Lane: string(b.Lane), Route: r.Route, Session: r.Session, Seq: r.Seq,
		Code: uint32(r.Status), Timestamp: due, Latency: r.End - r.Due, BytesOut: uint64(r.Out), BytesIn: uint64(r.In),
		Method: method(r.Method), URL: base + plain(r.Target), Due: due.UnixNano(), Error: r.Reason,
	}
	if r.Sent >= 0 {
		sent := b.Started.Add(r.Sent)
		e.Sent, e.Lag, e.FromSend = sent.UnixNano(), r.Sent-r.Due, r.End-r.Sent
		if fromSend {
			e.Timestamp, e.Latency = sent, e.FromSend
		}
	}
	if r.Status >= 400 { // as vegeta has it
		e.Error = strconv.Itoa(r.Status) + " " + http.StatusText(r.Status)
	}
}

// size is about what e takes in memory.
func (e *entry) size() int { return 160 + len(e.URL) }

// method is m without an allocation, where it is one that everybody uses.
func method(m []byte) string {
	switch string(m) {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodPut:
		return http.MethodPut
	}
	return plain(m)
}

// plain is b as UTF-8: columns of text must be that.
func plain(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
