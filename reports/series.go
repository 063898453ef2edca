package reports

import (
	"strconv"
	"time"
)

// Latency is a summary of many durations: quantiles from a histogram, never averages of quantiles.
// Zero is "not measured".
type Latency struct {
	P50 time.Duration `json:"p50_ns,omitempty"`
	P95 time.Duration `json:"p95_ns,omitempty"`
	P99 time.Duration `json:"p99_ns,omitempty"`
	Max time.Duration `json:"max_ns,omitempty"`
}

// A Series is the traffic into one service from one caller under one lane, as the mesh saw it.
type Series struct {
	Service string `json:"service"`
	Caller  string `json:"caller,omitempty"`
	Lane    string `json:"lane,omitempty"`

	Count   uint64   `json:"count"`  // of the whole run
	Errors  uint64   `json:"errors"` // of Count
	Latency          // of the whole run, from the merged histogram
	Seconds []Second `json:"seconds,omitempty"` // in order; seconds without traffic may be left out
}

// A Second is the traffic of one second of a Series.
type Second struct {
	Second int    `json:"second"` // whole seconds since Run.Start
	Count  uint64 `json:"count"`
	Errors uint64 `json:"errors,omitempty"`
	Latency
}

// A Replay is what one replay asked of a service and what it got, as its sender saw it.
type Replay struct {
	Name string `json:"name"` // "tape://out/eve to gateway"
	Lane string `json:"lane,omitempty"`
	// Target is how the target proved to be the lane, or that it did not have to; on one line, for people.
	Target string `json:"target,omitempty"`

	Rate string `json:"rate,omitempty"` // as written in the step: 5x, 2000/s

	Asked    uint64  `json:"asked"`     // requests that fell due
	Sent     uint64  `json:"sent"`      // requests that were sent
	Errors   uint64  `json:"errors"`    // of Sent: no response, or a 5xx
	FromDue  Latency `json:"from_due"`  // from the due time to the end of the response: what a user would have felt
	FromSend Latency `json:"from_send"` // from the actual send: what the service alone took
	Lag      Latency `json:"lag"`       // from the due time to the actual send: how late the sender was

	// LagLimit is how large Lag.P99 may be before the replay counts as INVALID. 0 means it is not judged.
	LagLimit time.Duration `json:"lag_limit_ns,omitempty"`

	Answers   []Answer   `json:"answers,omitempty"`    // by route and status, the most frequent first
	Seconds   []Tick     `json:"seconds,omitempty"`    // in order
	CurveDue  []Quantile `json:"curve_due,omitempty"`  // quantiles of the latency from due, ascending
	CurveSend []Quantile `json:"curve_send,omitempty"` // quantiles of the latency from send, ascending
}

// An Answer is how often requests of one route ended with one status, and how long that took.
type Answer struct {
	Route   string  `json:"route"`  // method and template of the path, or other
	Status  int     `json:"status"` // 0: no answer
	Count   uint64  `json:"count"`
	FromDue Latency `json:"from_due"`
}

func (a *Answer) status() string {
	if a.Status == 0 {
		return "no answer"
	}
	return strconv.Itoa(a.Status)
}

// A Tick is one second of a Replay. Latencies stand at the second in which the request was due.
type Tick struct {
	Second   int     `json:"second"` // whole seconds since Run.Start
	Asked    uint64  `json:"asked"`  // fell due in this second
	Sent     uint64  `json:"sent"`   // were sent in this second
	Errors   uint64  `json:"errors,omitempty"`
	FromDue  Latency `json:"from_due"`
	FromSend Latency `json:"from_send"`
	Lag      Latency `json:"lag"`
}

// A Quantile is one point of a quantile curve: the share Q (0 to 1) of all values is at most Value.
type Quantile struct {
	Q     float64       `json:"q"`
	Value time.Duration `json:"ns"`
}

// A Fault is one fault lease and the window in which it stood.
type Fault struct {
	ID   string        `json:"id"`
	Kind string        `json:"kind"`           // latency, abort, reset
	What string        `json:"what,omitempty"` // its strength in words: "50 ms ± 5 ms", "status 503"
	Lane string        `json:"lane,omitempty"`
	From time.Duration `json:"from_ns"` // actual, as the mesh held it
	To   time.Duration `json:"to_ns"`   // actual; not after From means it stood until the end

	// The edge it lay on. An empty Caller is every caller, an empty Service every service.
	Caller  string `json:"caller,omitempty"`
	Service string `json:"service,omitempty"`

	Asked  float64 `json:"asked"`  // share asked for, 0 to 1
	Looked uint64  `json:"looked"` // exchanges the fault looked at
	Struck uint64  `json:"struck"` // of Looked, how many it struck
}

// Delivered is the share of the exchanges looked at that were struck, 0 when none was looked at.
func (f *Fault) Delivered() float64 {
	if f.Looked == 0 {
		return 0
	}
	return float64(f.Struck) / float64(f.Looked)
}

// on reports whether f lies on the edge from caller to service.
func (f *Fault) on(caller, service string) bool {
	return (f.Caller == "" || f.Caller == caller) && (f.Service == "" || f.Service == service)
}

// end is when f stopped, given the length of the run.
func (f *Fault) end(length time.Duration) time.Duration {
	if f.To > f.From {
		return f.To
	}
	return max(f.From, length)
}

// A Heat is a histogram over time: one column per Width from From, one row per bound. It shows the two
// humps that a line of quantiles hides.
type Heat struct {
	Title  string          `json:"title"`
	Lane   string          `json:"lane,omitempty"`
	From   time.Duration   `json:"from_ns"`
	Width  time.Duration   `json:"width_ns"`  // of one column; 0 is 1 s
	Bounds []time.Duration `json:"bounds_ns"` // upper bounds of the rows, ascending
	Cells  [][]uint64      `json:"cells"`     // [column][row] counts; short columns are padded with 0
}
