package shape

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// A Rate is a number of requests per second, in millionths: 2000/s is 2_000_000_000.
type Rate uint64

// MaxRate is a request each nanosecond, closer than which times cannot tell requests apart.
const MaxRate Rate = 1e15

// A Stage is a part of a curve: the rate goes from From to To in a straight line.
type Stage struct {
	From, To Rate
	For      time.Duration // 0, in the last stage only: as long as there are requests; From and To are equal then
}

// MaxSpan is the longest that the stages of a curve may last together.
const MaxSpan = 366 * 24 * time.Hour

// unit is how many parts of a request N is counted in: (From + To) in millionths per second, times
// nanoseconds, is twice the area under a stage in 1e-15 requests.
const unit = 2_000_000_000_000_000

// A Curve is the number of requests due by each moment. It does not change and may be shared.
type Curve struct {
	stages []stage
	total  u128 // N at the end, in parts; of no meaning when open
	span   time.Duration
	open   bool // the last stage has no end
}

// A stage is a Stage in its place.
type stage struct {
	before   u128 // N where it begins, in parts
	at, span uint64
	a, b     uint64
}

// New makes a curve of stages.
func New(stages []Stage) (*Curve, error) {
	if len(stages) == 0 {
		return nil, errors.New("no stages")
	}
	c := &Curve{stages: make([]stage, 0, len(stages))}
	for i, s := range stages {
		switch {
		case s.From > MaxRate || s.To > MaxRate:
			return nil, fmt.Errorf("stage %d: a rate above 1e9/s", i+1)
		case s.For < 0 || s.For == 0 && (i+1 < len(stages) || s.From != s.To):
			return nil, fmt.Errorf("stage %d: it needs a duration", i+1)
		case s.For > MaxSpan-c.span:
			return nil, fmt.Errorf("stage %d: the shape lasts longer than %d days", i+1, MaxSpan/(24*time.Hour))
		}
		c.open = s.For == 0 && s.From > 0
		c.stages = append(c.stages, stage{before: c.total, at: uint64(c.span), span: uint64(s.For), a: uint64(s.From), b: uint64(s.To)})
		c.total = c.total.add(mul(uint64(s.From+s.To), uint64(s.For)))
		c.span += s.For
	}
	if !c.open && c.total == (u128{}) {
		return nil, errors.New("its rate is never above 0")
	}
	return c, nil
}

// Due is when request n, counted from 0, is due; false when the curve ends before that. It costs a search
// of the stages; whoever asks for one after the other has a Cursor.
func (c *Curve) Due(n uint64) (time.Duration, bool) {
	cur := Cursor{curve: c}
	return cur.Due(n)
}

// Len is how many requests the curve holds, and Span how long it lasts; false when it has no end.
func (c *Curve) Len() (n uint64, ok bool) {
	n, _ = c.total.ceilDiv(unit)
	return n, !c.open
}

// Span is how long the stages last; false when the last one has no end.
func (c *Curve) Span() (time.Duration, bool) { return c.span, !c.open }

// A Cursor asks for due times that mostly go up.
type Cursor struct {
	curve *Curve
	i     int // the stage of the last answer
}

// Due is Curve.Due.
func (cur *Cursor) Due(n uint64) (time.Duration, bool) { return cur.at(mul(n, unit)) }

// at is the first nanosecond at which N has reached x parts of a request, in the stage in which it grows
// past x.
func (cur *Cursor) at(x u128) (time.Duration, bool) {
	c := cur.curve
	if !c.open && !x.less(c.total) {
		return 0, false
	}
	i := cur.i
	if x.less(c.stages[i].before) || c.passed(i, x) {
		if i+1 < len(c.stages) && !x.less(c.stages[i].before) && !c.passed(i+1, x) {
			i++
		} else {
			i = c.find(x)
		}
		cur.i = i
	}
	s := &c.stages[i]
	t, ok := s.due(x.sub(s.before))
	if t += s.at; !ok || t > math.MaxInt64 {
		return math.MaxInt64, true // 292 years are for ever
	}
	return time.Duration(t), true
}

// passed reports whether N is past x when stage i has ended.
func (c *Curve) passed(i int, x u128) bool {
	return i+1 < len(c.stages) && !x.less(c.stages[i+1].before)
}

// find is the last stage that begins with N at x or below.
func (c *Curve) find(x u128) int {
	lo, hi := 0, len(c.stages)
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) / 2); x.less(c.stages[mid].before) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return lo
}

// due is the first nanosecond of s at which y parts have come. They do come.
func (s *stage) due(y u128) (uint64, bool) {
	if s.a == s.b {
		return y.ceilDiv(2 * s.a)
	}
	return s.ramp(y), true
}

// ramp solves 2aτ + (b-a)τ²/span = y: near enough in floats, seen from the slow end, where nothing cancels
// out; then to the nanosecond in whole numbers.
func (s *stage) ramp(y u128) uint64 {
	var t uint64
	if s.a < s.b {
		t = min(s.span, uint64(math.Ceil(root(s.a, s.b, s.span, y))))
	} else {
		left := mul(s.a+s.b, s.span).sub(y)
		t = s.span - min(s.span, uint64(root(s.b, s.a, s.span, left)))
	}
	for !s.reached(t, y) {
		t++
	}
	for t > 0 && s.reached(t-1, y) {
		t--
	}
	return t
}

// root is when y parts have come where the rate rises from a to b.
func root(a, b, span uint64, y u128) float64 {
	low, yf := float64(a), y.float()
	if yf == 0 {
		return 0
	}
	return yf / (low + math.Sqrt(low*low+float64(b-a)/float64(span)*yf))
}

// reached reports whether y parts have come by t: t·(2a·span + (b-a)·t) >= y·span.
func (s *stage) reached(t uint64, y u128) bool {
	if t >= s.span {
		return true
	}
	slope := mul(2*s.a, s.span)
	if s.a < s.b {
		slope = slope.add(mul(s.b-s.a, t))
	} else {
		slope = slope.sub(mul(s.a-s.b, t))
	}
	return atLeast(slope, t, y, s.span)
}
