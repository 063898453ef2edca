package shape

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// day is a curve of a stage each second for a day.
func day() (stages []Stage) {
	for second := range 86_400 {
		r := per(float64(1000 + second%977))
		stages = append(stages, Stage{r, r, time.Second})
	}
	return stages
}

func shapes(t testing.TB) map[string]*Shape {
	long := 300 * 24 * time.Hour
	curve := func(stages ...Stage) *Curve {
		c, err := New(stages)
		require.NoError(t, err)
		return c
	}
	recorded, err := Recorded(5)
	require.NoError(t, err)
	ramp := []Stage{{per(1), per(1e6), long}}
	return map[string]*Shape{
		"recorded":     recorded,
		"constant":     Along(curve(Stage{per(2000), per(2000), 0})),
		"ramp up":      Along(curve(ramp...)),
		"ramp down":    Along(curve(Stage{per(1e6), per(1), long})),
		"day":          Along(curve(day()...)),
		"poisson":      Poisson(curve(Stage{per(2000), per(2000), 0}), 1),
		"poisson ramp": Poisson(curve(ramp...), 1),
	}
}

// The cost of one due time.
func BenchmarkNext(b *testing.B) {
	for name, s := range shapes(b) {
		b.Run(name, func(b *testing.B) {
			p := s.Pace()
			start := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := p.Next(start); !ok {
					p = s.Pace()
				}
				start += 1000
			}
		})
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	for name, s := range shapes(t) {
		p := s.Pace()
		require.Zero(t, testing.AllocsPerRun(1000, func() { p.Next(1) }), name)
	}
}
