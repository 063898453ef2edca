package scenarios

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// An Expect is one line under the key expect: a measure, a comparison and a limit.
//
//	errors < 1%
//	p99(lane=red) < 800ms
//	p50(edge=shake -> packet, lane=red, during=slow) >= 50ms
//	escapes == 0
//	ledger balanced
//	invariants hold
//
// Without service or edge a measure is taken where callers enter the mesh.
type Expect struct {
	Text    string
	Pos     conf.Pos
	Measure string
	Select  Select
	Op      string  // <, <=, ==, !=, >=, >; empty for a fact such as "ledger balanced"
	Limit   float64 // nanoseconds, a share from 0 to 1, or a number, as the measure is
}

// A Select narrows what a measure is taken over. Empty fields take everything.
type Select struct {
	Service string         // called service
	Caller  string         // calling service
	Lane    *traffic.Color // lane the exchange travelled in; nil is every lane
	During  string         // name of an inject step: only the whole seconds its fault was armed
}

// unit is what a measure's limit is written in.
type unit int

const (
	number unit = iota
	share
	duration
	fact // compares with nothing
)

// measures are the words an expectation may begin with.
var measures = map[string]unit{
	"count": number, "rate": number, "errors": share,
	"p50": duration, "p90": duration, "p95": duration, "p99": duration, "p99.9": duration, "max": duration,
	"due.p50": duration, "due.p99": duration, "sent.p50": duration, "sent.p99": duration,
	"lag.p50": duration, "lag.p99": duration, "achieved": share,
	"escapes": number, "struck": number, "recorded": number,
	"ledger balanced": fact, "invariants hold": fact,
}

// operators, the two-letter ones first, so that "<=" is not read as "<".
var operators = []string{"<=", ">=", "==", "!=", "<", ">"}

// UnmarshalConf reads one expectation.
func (e *Expect) UnmarshalConf(v conf.Value) error {
	if !v.IsText() {
		return v.Errorf("want an expectation such as: errors < 1%%")
	}
	e.Text, e.Pos = strings.Join(strings.Fields(v.Text()), " "), v.Pos()
	if u, known := measures[e.Text]; known && u == fact {
		e.Measure = e.Text
		return nil
	}
	left, op, right := cutOperator(e.Text)
	if op == "" {
		return v.Errorf("%q compares with nothing: want a measure, one of %s, and a limit%s", e.Text, strings.Join(operators, " "), conf.DidYouMean(e.Text, facts()))
	}
	name, args, hasArgs := strings.Cut(left, "(")
	e.Measure, e.Op = strings.TrimSpace(name), op
	u, known := measures[e.Measure]
	if !known || u == fact {
		return v.Errorf("no measure %q%s", e.Measure, conf.DidYouMean(e.Measure, measureNames()))
	}
	if hasArgs {
		inner, ok := strings.CutSuffix(strings.TrimSpace(args), ")")
		if !ok {
			return v.Errorf("%q: the bracket after %s is not closed", e.Text, e.Measure)
		}
		if err := e.Select.parse(inner); err != nil {
			return v.Errorf("%w", err)
		}
	}
	limit, err := parseLimit(u, right)
	if err != nil {
		return v.Errorf("%s: %w", e.Measure, err)
	}
	e.Limit = limit
	return nil
}

// cutOperator splits at the first comparison outside brackets; an edge's arrow stands inside them.
func cutOperator(s string) (left, op, right string) {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth > 0 {
			continue
		}
		for _, o := range operators {
			if strings.HasPrefix(s[i:], o) {
				return strings.TrimSpace(s[:i]), o, strings.TrimSpace(s[i+len(o):])
			}
		}
	}
	return s, "", ""
}

func (s *Select) parse(inner string) error {
	for _, part := range strings.Split(inner, ",") {
		key, value, ok := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || value == "" {
			return fmt.Errorf("%q: want key=value", strings.TrimSpace(part))
		}
		switch key {
		case "lane":
			c := traffic.Color(value)
			if value == "baseline" {
				c = ""
			} else if !c.Valid() {
				return fmt.Errorf("%q is no lane: lower-case letters, digits and inner hyphens", value)
			}
			s.Lane = &c
		case "service":
			s.Service = value
		case "edge":
			from, to, ok := strings.Cut(value, "->")
			if !ok {
				return fmt.Errorf("edge %q: want caller -> callee", value)
			}
			s.Caller, s.Service = strings.TrimSpace(from), strings.TrimSpace(to)
		case "during":
			s.During = value
		default:
			return fmt.Errorf("no selector %q%s", key, conf.DidYouMean(key, []string{"lane", "service", "edge", "during"}))
		}
	}
	return nil
}

func parseLimit(u unit, s string) (float64, error) {
	switch u {
	case duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("want a duration such as 800ms, found %q", s)
		}
		return float64(d), nil
	case share:
		var p conf.Share
		err := p.UnmarshalText([]byte(s))
		return float64(p), err
	default:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, fmt.Errorf("want a number, found %q", s)
		}
		return f, nil
	}
}

func compare(got float64, op string, limit float64) bool {
	switch op {
	case "<":
		return got < limit
	case "<=":
		return got <= limit
	case "==":
		return got == limit
	case "!=":
		return got != limit
	case ">=":
		return got >= limit
	case ">":
		return got > limit
	}
	panic("BUG: no operator " + op)
}

func facts() (names []string) {
	for name, u := range measures {
		if u == fact {
			names = append(names, name)
		}
	}
	return names
}

func measureNames() (names []string) {
	for name := range measures {
		names = append(names, name)
	}
	return names
}
