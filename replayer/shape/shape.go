package shape

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/internal/chance"
)

// A Shape is when the requests of a run are due. It does not change and may be shared; each run has a Pace
// of its own.
type Shape struct {
	times   uint64 // as recorded, so many millionths as fast; 0: along curve
	curve   *Curve
	poisson bool
	seed    uint64
	own     bool // curve is that of the recording replayed, and ends with it or a little before
	text    string
}

// Recorded is the shape of the recording itself, times as fast. times is kept to a millionth.
func Recorded(times float64) (*Shape, error) {
	millionths := math.Round(times * 1e6)
	if !(millionths >= 1 && millionths <= 1e15) {
		return nil, fmt.Errorf("%gx is not between 0.000001x and 1000000000x", times)
	}
	return &Shape{times: uint64(millionths)}, nil
}

// Along is the shape of a curve.
func Along(c *Curve) *Shape { return &Shape{curve: c} }

// Constant is perSecond requests in every second, evenly, for as long as there are any. perSecond is kept
// to a millionth.
func Constant(perSecond float64) (*Shape, error) {
	r, err := rateOf(perSecond)
	if err != nil {
		return nil, err
	}
	c, err := New([]Stage{{From: r, To: r}})
	if err != nil {
		return nil, err
	}
	return Along(c), nil
}

func rateOf(perSecond float64) (Rate, error) {
	millionths := math.Round(perSecond * 1e6)
	if !(millionths >= 0 && millionths <= float64(MaxRate)) || millionths == 0 && perSecond > 0 {
		return 0, fmt.Errorf("%g/s is not between 0.000001/s and 1000000000/s", perSecond)
	}
	return Rate(millionths), nil
}

// Poisson is a Poisson process that has, by every moment, as many requests due as c on average.
func Poisson(c *Curve, seed uint64) *Shape { return &Shape{curve: c, poisson: true, seed: seed} }

// Span is how long the shape lasts; false when that is up to the recording.
func (s *Shape) Span() (time.Duration, bool) {
	if s.curve == nil || s.own {
		return 0, false
	}
	return s.curve.Span()
}

// String is the text that the shape was made from, if any.
func (s *Shape) String() string { return s.text }

// A Pace asks a Shape for one due time after the other.
type Pace struct {
	shape  *Shape
	cursor Cursor
	n      uint64
	first  int64 // Start of the first exchange
	rand   *rand.Rand
	x      u128 // the Poisson process: requests, and parts of 2^-64 of one
}

// Pace begins s.
func (s *Shape) Pace() *Pace {
	p := &Pace{shape: s, cursor: Cursor{curve: s.curve}}
	if s.poisson {
		p.rand = chance.Stream(s.seed, "poisson", 0)
	}
	return p
}

// Next is the due time, from the start of the run, of the next exchange, whose recorded Start is start;
// false when the shape has ended. One that started before the first is due before 0.
func (p *Pace) Next(start int64) (time.Duration, bool) {
	if p.n == 0 {
		p.first = start
	}
	n := p.n
	p.n++
	switch {
	case p.shape.times != 0:
		return p.recorded(start), true
	case p.shape.poisson:
		return p.cursor.at(p.arrival())
	}
	return p.cursor.Due(n)
}

// recorded is (start - first) / times, rounded up.
func (p *Pace) recorded(start int64) time.Duration {
	if start < p.first {
		return -1
	}
	since := uint64(start) - uint64(p.first) // never wraps: start is later
	due, ok := mul(since, 1_000_000).ceilDiv(p.shape.times)
	if !ok {
		return math.MaxInt64
	}
	return time.Duration(due)
}

// arrival is N at the next arrival, in parts. The sum of gaps is kept in whole numbers: the gaps are of
// chance, and their sum has no error that grows.
func (p *Pace) arrival() u128 {
	whole, part := math.Modf(p.rand.ExpFloat64())
	p.x = p.x.add(u128{uint64(whole), uint64(part * (1 << 64))})
	parts, _ := bits.Mul64(p.x.lo, unit)
	return mul(p.x.hi, unit).add(u128{0, parts})
}
