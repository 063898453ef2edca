package redpacket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/redlane/redlane/internal/chance"
)

// CrowdConfig is a crowd of users. Zero fields take the default named beside them.
type CrowdConfig struct {
	Target  string        // required: host:port of the gateway
	Rate    float64       // required: requests per second
	For     time.Duration // required
	Users   int           // 0 means 1000
	Seed    uint64
	Workers int // requests under way at once; 0 means 256
	// Connections kept to the gateway and used in turn; 0 means 200.
	Connections int
	Timeout     time.Duration // of one request; 0 means 10s
}

func (c *CrowdConfig) check() error {
	host, port, err := net.SplitHostPort(c.Target)
	switch {
	case err != nil || host == "" || port == "":
		return fmt.Errorf("target %q: want host:port", c.Target)
	case !(c.Rate >= 1 && c.Rate <= 1e6): // slower, and the attacker could not be stopped in its sleep
		return fmt.Errorf("rate: want 1 to 1000000 a second, found %v", c.Rate)
	case c.For <= 0 || c.For > maxFor:
		return fmt.Errorf("for: want up to %s, such as 50s, found %s", maxFor, c.For)
	case c.Users < 0 || c.Workers < 0 || c.Timeout < 0:
		return errors.New("users, workers and timeout must not be negative")
	}
	return nil
}

const maxFor = 24 * time.Hour

// Result is what a crowd got.
type Result struct {
	Requests uint64            `json:"requests"`
	Unsent   uint64            `json:"unsent"` // due, but the crowd was stopped or hopelessly late
	Errors   uint64            `json:"errors"` // no answer, or one of 400 and above
	Status   map[string]uint64 `json:"status"` // by code; "none" where no answer came
	Took     time.Duration     `json:"took"`

	// From its due time on a user waits, also while the request cannot be sent; from sending on the
	// service is at work.
	DueP50  time.Duration `json:"due_p50"`
	DueP99  time.Duration `json:"due_p99"`
	SentP50 time.Duration `json:"sent_p50"`
	SentP99 time.Duration `json:"sent_p99"`
}

// String is the result on one line.
func (r Result) String() string {
	return fmt.Sprintf("crowd: %d requests in %s, %d errors, %d unsent, p50 %s p99 %s from due, p50 %s p99 %s from sent",
		r.Requests, r.Took.Round(time.Millisecond), r.Errors, r.Unsent, r.DueP50, r.DueP99, r.SentP50, r.SentP99)
}

// Crowd lets users shake and look at their balance at a constant rate until cfg.For is over or ctx ends. It
// is the live traffic of the samples: a client of its own that has nothing to do with the replayer and
// knows nothing of lanes. When all workers are busy requests are sent late, not left out, and DueP99 says so.
func Crowd(ctx context.Context, cfg CrowdConfig) (Result, error) {
	if err := cfg.check(); err != nil {
		return Result{}, fmt.Errorf("run crowd: %w", err)
	}
	if cfg.Users == 0 {
		cfg.Users = 1000
	}
	if cfg.Workers == 0 {
		cfg.Workers = 256
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Connections == 0 {
		cfg.Connections = 200
	}
	phones := newPhones(cfg.Connections)
	defer phones.hangUp()
	attacker := vegeta.NewAttacker( // Client comes last: options after it would take its transport apart
		vegeta.Workers(uint64(cfg.Workers)), vegeta.MaxWorkers(uint64(cfg.Workers)), vegeta.MaxBody(0), vegeta.KeepAlive(true),
		vegeta.Client(&http.Client{Transport: phones, Timeout: cfg.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}),
	)
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()

	pace := steady{ctx: ctx, interval: time.Duration(float64(time.Second) / cfg.Rate), end: cfg.For + cfg.Timeout}
	pace.total = max(1, uint64(cfg.For/pace.interval))
	t := tally{interval: pace.interval, status: make(map[string]uint64), due: newHistogram(), sent: newHistogram()}
	for res := range attacker.Attack(cfg.targets(), pace, 0, "") { // no duration: it would leave out what is late by then
		t.add(res)
	}
	result := t.result()
	result.Unsent = pace.total - result.Requests
	return result, nil
}

// steady sends total requests at due times fixed beforehand, and those that are late as soon as it can.
type steady struct {
	ctx      context.Context
	interval time.Duration
	total    uint64
	end      time.Duration // give up then
}

// Pace implements vegeta.Pacer.
func (s steady) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= s.total || elapsed > s.end || s.ctx.Err() != nil {
		return 0, true
	}
	return time.Duration(hits+1)*s.interval - elapsed, false
}

// Rate implements vegeta.Pacer.
func (s steady) Rate(time.Duration) float64 { return float64(time.Second) / float64(s.interval) }

// targets yields what users do: four in five shake, half of them naming themselves in the body and half
// in the query, and one in five looks at the balance.
func (c *CrowdConfig) targets() vegeta.Targeter {
	var next atomic.Uint64
	base := "http://" + c.Target
	return func(t *vegeta.Target) error {
		r := chance.Stream(c.Seed, "crowd", next.Add(1)-1)
		user := "u" + strconv.Itoa(1+r.IntN(c.Users))
		t.Header = http.Header{"Accept": {"application/json"}}
		switch n := r.IntN(10); {
		case n < 4:
			t.Method, t.URL, t.Body = "POST", base+"/shake", []byte(`{"user":"`+user+`"}`)
			t.Header.Set("Content-Type", "application/json")
		case n < 8:
			t.Method, t.URL = "POST", base+"/shake?user="+user
		default:
			t.Method, t.URL = "GET", base+"/balance?user="+user
		}
		return nil
	}
}

// phones sends requests over kept connections in turn. One pool would use the same few connections for
// everybody, and a recording of it would have only those few sessions to be replayed in order.
type phones struct {
	next  atomic.Uint64
	lines []*http.Transport
}

func newPhones(n int) *phones {
	p := &phones{lines: make([]*http.Transport, n)}
	for i := range p.lines {
		p.lines[i] = &http.Transport{IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	}
	return p
}

// RoundTrip implements http.RoundTripper. It takes out what vegeta puts into every request and a phone
// would not.
func (p *phones) RoundTrip(r *http.Request) (*http.Response, error) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Vegeta-") {
			delete(r.Header, name)
		}
	}
	return p.lines[p.next.Add(1)%uint64(len(p.lines))].RoundTrip(r)
}

func (p *phones) hangUp() {
	for _, line := range p.lines {
		line.CloseIdleConnections()
	}
}

type tally struct {
	interval    time.Duration
	first, last time.Time // first: when request 0 was sent, and due
	early       []*vegeta.Result

	requests, errors uint64
	status           map[string]uint64
	due, sent        *hdrhistogram.Histogram // microseconds
}

// add takes in one result. Results come in order of their end, so those that overtook request 0 wait: its
// start is the origin of all due times.
func (t *tally) add(res *vegeta.Result) {
	if t.first.IsZero() {
		if t.early = append(t.early, res); res.Seq != 0 {
			return
		}
		t.first = res.Timestamp
		for _, waited := range t.early {
			t.count(waited)
		}
		t.early = nil
		return
	}
	t.count(res)
}

func (t *tally) count(res *vegeta.Result) {
	t.requests++
	code := "none"
	if res.Code != 0 {
		code = strconv.Itoa(int(res.Code))
	}
	t.status[code]++
	if res.Code == 0 || res.Code >= 400 {
		t.errors++
	}
	end := res.Timestamp.Add(res.Latency)
	if end.After(t.last) {
		t.last = end
	}
	due := t.first.Add(time.Duration(res.Seq) * t.interval)
	record(t.due, max(end.Sub(due), res.Latency))
	record(t.sent, res.Latency)
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(d.Microseconds(), h.HighestTrackableValue())) // cannot fail within the range
}

func (t *tally) result() Result {
	q := func(h *hdrhistogram.Histogram, p float64) time.Duration {
		return time.Duration(h.ValueAtQuantile(p)) * time.Microsecond
	}
	return Result{
		Requests: t.requests, Errors: t.errors, Status: t.status, Took: t.last.Sub(t.first),
		DueP50: q(t.due, 50), DueP99: q(t.due, 99), SentP50: q(t.sent, 50), SentP99: q(t.sent, 99),
	}
}
