package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/hdr"
	"github.com/redlane/redlane/traffic"
)

// A question is a series that is watched because somebody asks.
type question struct {
	series *series
	last   time.Time
}

// An SLO is what a lane did with a service over the last Window, held against limits.
type SLO struct {
	Service string        `json:"service"` // empty: all
	Lane    traffic.Color `json:"lane"`    // empty: the baseline
	Window  string        `json:"window"`

	Count     uint64   `json:"count"`
	Errors    uint64   `json:"errors"`
	Overdue   uint64   `json:"overdue"`
	ErrorRate float64  `json:"error_rate"`
	P99       float64  `json:"p99_ms"`
	Verdict   string   `json:"verdict"` // pass, fail or nodata
	Why       string   `json:"why"`
	Latency   hdr.Hist `json:"latency"`
}

// The verdicts of an SLO.
const (
	Pass   = "pass"
	Fail   = "fail"
	NoData = "nodata"
)

// FirstLook is how long the first question waits, so that there is something to answer.
const FirstLook = time.Second

// SLO answers for one series. The first question begins to watch it and waits a second; half a minute without
// another ends that.
func (s *Set) SLO(ctx context.Context, lane traffic.Color, service string, l Limits) (SLO, error) {
	w, fresh, err := s.ask(seriesKey{lane, service})
	if err != nil {
		return SLO{}, err
	}
	if fresh {
		if err := s.cfg.Clock.SleepUntil(ctx, s.cfg.Clock.Now().Add(FirstLook)); err != nil {
			return SLO{}, err
		}
	}
	r := w.read(s.cfg.Clock.Now().UnixNano(), l.P99)
	return judged(lane, service, &r, l), nil
}

func (s *Set) ask(key seriesKey) (w *series, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	q := s.mu.asked[key]
	if q == nil {
		if len(s.mu.asked) >= maxAsked {
			return nil, false, fmt.Errorf("slo: %w: too many are asked about (%d); wait half a minute", ErrFull, maxAsked)
		}
		w := s.series(key, now)
		q, fresh = &question{series: w}, w.since > now.UnixNano()
		s.mu.asked[key] = q
		s.rewatch(now)
		s.awake()
	}
	q.last = now
	return q.series, fresh, nil
}

func judged(lane traffic.Color, service string, r *Reading, l Limits) SLO {
	o := SLO{
		Service: service, Lane: lane, Window: Window.String(),
		Count: r.Count, Errors: r.Errors, Overdue: r.Overdue, ErrorRate: r.ErrorRate(), P99: r.P99(), Latency: r.Latency,
	}
	v, why := l.judge(r)
	o.Verdict, o.Why = map[Verdict]string{OK: Pass, Broken: Fail, Missing: NoData}[v], why
	return o
}

// Merge is one SLO of what several proxies saw, as if one had seen all of it.
func Merge(all []SLO, l Limits) SLO {
	var r Reading
	var o SLO
	for i := range all {
		o = all[i]
		r.Count += o.Count
		r.Errors += o.Errors
		r.Overdue += o.Overdue
		r.Latency.Merge(&all[i].Latency)
	}
	r.countSlow(l.P99)
	return judged(o.Lane, o.Service, &r, l)
}
