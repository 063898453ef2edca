package injector

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/traffic"
)

var _ = register("delay", func() Fault { return new(Delay) })

// The distributions of a Delay.
const (
	Fixed    = "fixed"    // delay each time; the default where there is no jitter
	Uniform  = "uniform"  // delay ± jitter, every value as likely as the others; the default with jitter
	Normal   = "normal"   // around delay, with a standard deviation of jitter; less than nothing is nothing
	Pareto   = "pareto"   // delay or more, the more the rarer: P(wait > t) = (delay/t)^tail
	Recorded = "recorded" // a value of histogram × times; the default with a histogram
)

// Delay holds an exchange back before it reaches the service, or the answer before it reaches the caller.
//
//	uniform    ▁▁▁███████▁▁▁     normal   ▁▁▂▄▇█▇▄▂▁▁     pareto   ▁▁█▅▃▂▂▁▁▁▁▁▁▁
//	              delay                      delay                   delay ──► max
type Delay struct {
	Delay        time.Duration `yaml:"delay"`        // required, but for recorded
	Jitter       time.Duration `yaml:"jitter"`       // uniform: at most Delay; normal: required
	Distribution string        `yaml:"distribution"` // see above
	Tail         float64       `yaml:"tail"`         // pareto: 0 means 2, of which the mean is 2 × delay and the p99 10 × delay
	Histogram    *Histogram    `yaml:"histogram"`    // recorded: in the text of HdrHistogram, see redlane inject histogram
	Times        float64       `yaml:"times"`        // recorded: 0 means 1; what is waited comes on top of what the service takes
	Max          time.Duration `yaml:"max"`          // no wait is longer; 0 means MaxTTL
	Side         string        `yaml:"side"`         // request (empty means that) or response
}

// Decide implements Fault.
func (d *Delay) Decide(_ Op, r *rand.Rand) traffic.Action {
	wait := d.draw(r)
	if d.Side == SideResponse {
		return shaped(SideResponse, traffic.Shape{Delay: wait})
	}
	return traffic.Action{Wait: wait}
}

// draw takes one number of r, or of a normal distribution a few.
func (d *Delay) draw(r *rand.Rand) time.Duration {
	wait := float64(d.Delay)
	switch d.distribution() {
	case Uniform:
		return min(d.Delay+time.Duration(r.Int64N(2*int64(d.Jitter)+1))-d.Jitter, d.max())
	case Normal:
		wait += r.NormFloat64() * float64(d.Jitter)
	case Pareto:
		wait *= math.Pow(1-r.Float64(), -1/d.tail()) // 1-r: never 0
	case Recorded:
		wait = float64(d.Histogram.draw(r)) * cmp.Or(d.Times, 1)
	}
	return time.Duration(min(max(wait, 0), float64(d.max())))
}

func (d *Delay) distribution() string {
	switch {
	case d.Distribution != "":
		return d.Distribution
	case d.Histogram != nil:
		return Recorded
	case d.Jitter != 0:
		return Uniform
	}
	return Fixed
}

func (d *Delay) tail() float64      { return cmp.Or(d.Tail, 2) }
func (d *Delay) max() time.Duration { return cmp.Or(d.Max, MaxTTL) }

func (d *Delay) check() error {
	kind := d.distribution()
	switch kind {
	case Fixed, Uniform, Normal, Pareto, Recorded:
	default:
		return fmt.Errorf("distribution: want %s, %s, %s, %s or %s, found %q", Fixed, Uniform, Normal, Pareto, Recorded, kind)
	}
	switch {
	case kind == Recorded && d.Delay != 0:
		return errors.New("delay: a recorded distribution has its own; use times")
	case kind != Recorded && d.Delay <= 0:
		return errors.New("delay: say how long, such as 50ms")
	case d.Delay > MaxTTL:
		return errors.New("delay: longer than any lease lasts")
	case kind == Uniform && (d.Jitter < 0 || d.Jitter > d.Delay):
		return errors.New("jitter: must be between 0 and delay")
	case kind == Normal && (d.Jitter <= 0 || d.Jitter > MaxTTL):
		return errors.New("jitter: say the standard deviation, such as 10ms")
	case kind != Uniform && kind != Normal && d.Jitter != 0:
		return fmt.Errorf("jitter: a %s delay has none", kind)
	case d.Tail != 0 && kind != Pareto:
		return fmt.Errorf("tail: a %s delay has none", kind)
	case !(d.Tail == 0 || d.Tail >= 1 && d.Tail <= 100):
		return fmt.Errorf("tail: want 1 to 100, found %v", d.Tail)
	case (kind == Recorded) != (d.Histogram != nil):
		return errors.New("histogram: belongs to a recorded delay, and must be there")
	case d.Times != 0 && kind != Recorded:
		return fmt.Errorf("times: a %s delay has none", kind)
	case !(d.Times == 0 || d.Times > 0 && d.Times <= 1000):
		return fmt.Errorf("times: want more than 0 and at most 1000, found %v", d.Times)
	case d.Max < 0 || d.Max > MaxTTL:
		return fmt.Errorf("max: want more than 0 and at most %s", MaxTTL)
	}
	return checkSide(d.Side)
}

// String is the strength in words.
func (d *Delay) String() string {
	s := d.Delay.String()
	switch d.distribution() {
	case Uniform:
		s += " ± " + d.Jitter.String()
	case Normal:
		s += " σ " + d.Jitter.String()
	case Pareto:
		s += " or more, tail " + fmt.Sprint(d.tail())
	case Recorded:
		s = fmt.Sprintf("as recorded (%s) × %v", d.Histogram.Summary(), cmp.Or(d.Times, 1))
	}
	if d.Max != 0 {
		s += ", at most " + d.Max.String()
	}
	if d.Side == SideResponse {
		s += ", of the response"
	}
	return s
}
