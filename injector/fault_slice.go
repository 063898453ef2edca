package injector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

var _ = register("slice", func() Fault { return new(Slice) })

// Slice cuts a body into small pieces, each written on its own: readers that take one read for one message fail.
type Slice struct {
	Size  conf.Bytes    `yaml:"size"`  // required: bytes of a piece
	Pause time.Duration `yaml:"pause"` // between two pieces
	Side  string        `yaml:"side"`  // request, or response (empty means that)
}

// Decide implements Fault.
func (s *Slice) Decide(Op, *rand.Rand) traffic.Action {
	return shaped(s.Side, traffic.Shape{Slice: int(s.Size), Pause: s.Pause})
}

func (s *Slice) check() error {
	switch {
	case s.Size <= 0 || s.Size > 1<<30:
		return errors.New("size: say how large a piece is, such as 10B")
	case s.Pause < 0 || s.Pause > MaxTTL:
		return fmt.Errorf("pause: want 0 to %s, found %s", MaxTTL, s.Pause)
	}
	return checkSide(s.Side)
}

// String is the strength in words.
func (s *Slice) String() string {
	if s.Pause == 0 {
		return fmt.Sprintf("pieces of %s", s.Size)
	}
	return fmt.Sprintf("pieces of %s, %s apart", s.Size, s.Pause)
}
