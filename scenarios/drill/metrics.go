package drill

import (
	"bufio"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A tally is what the proxies have counted of one lane at one service, from its start on.
type tally struct {
	count, errors uint64
	buckets       map[float64]uint64 // exchanges of at most so many seconds
}

// sample is one look at the metrics of all proxies.
type sample struct {
	at      time.Duration
	lanes   map[string]*tally
	escapes uint64
}

// scrape sums up what all proxies say of a service's own listener, by lane.
func (p *plane) scrape(ctx context.Context, service string) (s *sample, err error) {
	s = &sample{lanes: make(map[string]*tally)}
	var mu sync.Mutex
	err = p.each(func(one *proxy) error {
		text, err := p.get(ctx, one.base+"/metrics")
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		s.read(text, service)
		return nil
	})
	return s, err
}

func (s *sample) lane(name string) *tally {
	t := s.lanes[name]
	if t == nil {
		t = &tally{buckets: make(map[float64]uint64)}
		s.lanes[name] = t
	}
	return t
}

// read takes what it knows out of the text format of Prometheus, and nothing else.
func (s *sample) read(text, service string) {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, labels, value, ok := metric(lines.Text())
		if !ok {
			continue
		}
		switch {
		case name == "redlane_lane_escapes_total":
			s.escapes += uint64(value)
		case labels["service"] != service || labels["caller"] != "":
		case name == "redlane_requests_total" && labels["reason"] != "challenge":
			t := s.lane(labels["lane"])
			t.count += uint64(value)
			if class := labels["code_class"]; class == "5xx" || class == "none" || class == "0xx" {
				t.errors += uint64(value)
			}
		case name == "redlane_request_duration_seconds_bucket":
			if le, err := strconv.ParseFloat(labels["le"], 64); err == nil {
				s.lane(labels["lane"]).buckets[le] += uint64(value)
			}
		}
	}
}

// metric takes a line apart: name{label="value",...} value. Values of ours have no escapes that matter here.
func metric(line string) (name string, labels map[string]string, value float64, ok bool) {
	if line == "" || line[0] == '#' {
		return "", nil, 0, false
	}
	name, rest, found := strings.Cut(line, "{")
	if !found {
		name, rest, _ = strings.Cut(line, " ")
	} else {
		var inner string
		at := strings.LastIndex(rest, "} ")
		if at < 0 {
			return "", nil, 0, false
		}
		inner, rest = rest[:at], rest[at+2:]
		labels = make(map[string]string)
		for inner != "" {
			key, after, ok := strings.Cut(inner, `="`)
			if !ok {
				break
			}
			text, more, _ := strings.Cut(after, `"`)
			labels[key] = text
			inner = strings.TrimPrefix(more, ",")
		}
	}
	word, _, _ := strings.Cut(rest, " ") // a time may follow
	value, err := strconv.ParseFloat(word, 64)
	return name, labels, value, err == nil
}

// between is the reading of what came after earlier, up to s.
func (s *sample) between(earlier *sample, lane string) Reading {
	now, then := s.lanes[lane], earlier.lanes[lane]
	if now == nil {
		return Reading{}
	}
	if then == nil {
		then = &tally{}
	}
	d := tally{count: now.count - min(now.count, then.count), errors: now.errors - min(now.errors, then.errors), buckets: make(map[float64]uint64)}
	for le, n := range now.buckets {
		d.buckets[le] = n - min(n, then.buckets[le])
	}
	r := Reading{Count: d.count, Errors: d.errors, P50: d.quantile(0.5), P99: d.quantile(0.99)}
	if d.count > 0 {
		r.ErrorRate = float64(d.errors) / float64(d.count)
	}
	return r
}
