package shape

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A Spec is the text of a shape, checked but with the files and recordings that it names not yet read.
//
//	5x                                     as recorded, five times as fast
//	2000/s                                 evenly
//	0/s..5000/s over 30s, 5000/s for 1m    stages; the last may do without a duration
//	spike 500/s to 8000/s at 1m for 10s    500/s, but for ten seconds
//	shape of tape://eve                    the requests per second of another recording
//	shape of day.csv peaking at 20000/s    of a file, scaled
//	poisson 2000/s                         any of these as a Poisson process
//
// The zero Spec is 1x.
type Spec struct {
	text    string
	poisson bool
	times   float64 // as recorded; 0 when it is something else
	stages  []Stage
	name    string // of a recording or a file whose shape it is
	peak    Rate   // 0: as it is
}

// UnmarshalText parses a shape.
func (s *Spec) UnmarshalText(text []byte) error {
	parsed, err := parse(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// String is the shape as it was written.
func (s Spec) String() string {
	if s.text == "" {
		return "1x"
	}
	return s.text
}

// MarshalText is String.
func (s Spec) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Recording is the name of the recording whose shape it is, or empty.
func (s Spec) Recording() string {
	if isCSV(s.name) {
		return ""
	}
	return s.name
}

func isCSV(name string) bool { return strings.HasSuffix(strings.ToLower(name), ".csv") }

// Bounded reports whether the shape ends by itself, as far as the text tells.
func (s Spec) Bounded() bool {
	return s.name != "" || len(s.stages) > 0 && s.stages[len(s.stages)-1].For > 0
}

// Shape reads what s names and makes the Shape of a run. self opens the recording that is replayed, of
// which a Poisson process over 5x needs the requests per second; open opens another by its name. seed is
// that of the Poisson process.
func (s Spec) Shape(ctx context.Context, seed uint64, self func(ctx context.Context) (traffic.Source, error), open func(ctx context.Context, name string) (traffic.Source, error)) (*Shape, error) {
	shape, err := s.shape(ctx, self, open)
	if err != nil {
		return nil, fmt.Errorf("shape %q: %w", s, err)
	}
	shape.text, shape.poisson, shape.seed = s.String(), s.poisson, seed
	shape.own = s.poisson && s.name == "" && s.stages == nil
	return shape, nil
}

func (s Spec) shape(ctx context.Context, self func(ctx context.Context) (traffic.Source, error), open func(ctx context.Context, name string) (traffic.Source, error)) (*Shape, error) {
	var stages []Stage
	var err error
	switch {
	case len(s.stages) > 0:
		stages = s.stages
	case isCSV(s.name):
		stages, err = readCSVFile(s.name)
	case s.name != "":
		stages, err = readRecorded(ctx, func(ctx context.Context) (traffic.Source, error) { return open(ctx, s.name) })
	case s.poisson:
		stages, err = readRecorded(ctx, self)
		stages = faster(stages, s.speed())
	default:
		return Recorded(s.speed())
	}
	if err != nil {
		return nil, err
	}
	if s.peak > 0 {
		stages = scale(stages, s.peak)
	}
	c, err := New(stages)
	if err != nil {
		return nil, err
	}
	return Along(c), nil
}

func (s Spec) speed() float64 {
	if s.times == 0 {
		return 1
	}
	return s.times
}

func readCSVFile(name string) ([]Stage, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readCSV(name, f)
}

func readRecorded(ctx context.Context, open func(ctx context.Context) (traffic.Source, error)) ([]Stage, error) {
	src, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return Of(ctx, src)
}

// scale multiplies the rates so that the highest is peak.
func scale(stages []Stage, peak Rate) []Stage {
	var top Rate
	for _, s := range stages {
		top = max(top, s.From, s.To)
	}
	if top == 0 {
		return stages
	}
	scaled := make([]Stage, len(stages))
	to := func(r Rate) Rate {
		// Rounded to the millionth; the quotient is at most peak.
		q, _ := mul(uint64(r), uint64(peak)).add(u128{0, uint64(top) / 2}).floorDiv(uint64(top))
		return Rate(q)
	}
	for i, s := range stages {
		scaled[i] = Stage{From: to(s.From), To: to(s.To), For: s.For}
	}
	return scaled
}

// faster squeezes time: the same requests, times as fast.
func faster(stages []Stage, times float64) []Stage {
	quick := make([]Stage, len(stages))
	for i, s := range stages {
		quick[i] = Stage{
			From: Rate(min(float64(s.From)*times, float64(MaxRate))), To: Rate(min(float64(s.To)*times, float64(MaxRate))),
			For: max(1, time.Duration(float64(s.For)/times)),
		}
	}
	return quick
}
