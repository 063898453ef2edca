package replayer

import (
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer/shape"
)

// A Schedule gives every exchange of a recording its due time, counted from the start of the run. It is
// asked once for each, in recorded order, and knows nothing of clocks.
//
//	recorded   |──────|───|───────────────|────────|      Start of each exchange, from the first on
//	2x         |───|─|───────|────|                       (Start - first Start) / 2
//	2000/s     |────|────|────|────|                      place in the recording / 2000
//	0/s..9/s   |──────────|─────|───|──|─|                where the area under the rate reaches the place
//
// Every due time comes from the recording or the shape, never from the due time before it: what one
// rounding or one late wake-up costs is not handed on, and there is no drift.
type Schedule struct {
	Shape *shape.Shape  // required
	For   time.Duration // nothing is due at For or later; 0 means no end

	pace  *shape.Pace
	last  time.Duration
	ended bool
}

// Next is the due time of the next exchange, whose recorded Start is start; ok is false when the shape has
// ended. Due times never go back: an exchange that comes out of order is due with the one before it, and
// moved reports that it was moved.
func (s *Schedule) Next(start int64) (due time.Duration, moved, ok bool) {
	if s.pace == nil {
		s.pace = s.Shape.Pace()
	}
	due, ok = s.pace.Next(start)
	if !ok || s.ended || s.For > 0 && due >= s.For {
		s.ended = true
		return s.last, false, false
	}
	moved = due < s.last
	s.last = max(s.last, due)
	return s.last, moved, true
}

// unfilled is how much of a shape that ends by itself is left when there are no more exchanges.
func (s *Schedule) unfilled() time.Duration {
	span, bounded := s.Shape.Span()
	if s.For > 0 {
		span = min(span, s.For)
	}
	if last := s.last; bounded && !s.ended {
		if _, _, more := s.Next(0); more {
			return span - last
		}
	}
	return 0
}

// checkShape makes Rate a shape when there is no other.
func (c *Config) checkShape() (err error) {
	switch {
	case c.For < 0:
		return errors.New("replay: for: must not be negative")
	case c.Shape != nil && c.Rate != (conf.Rate{}):
		return errors.New("replay: a rate and a shape at once")
	case c.Closed && c.For > 0:
		return errors.New("replay: for: a closed loop has no due times that could end; leave one of them out")
	case c.Shape != nil:
		if _, bounded := c.Shape.Span(); bounded && c.Closed {
			return fmt.Errorf("replay: shape %s: a closed loop has no due times; leave one of them out", c.Shape)
		}
		return nil
	case c.Rate.Times != 0 && c.Rate.PerSecond != 0:
		return errors.New("replay: rate: a multiple and a number per second at once")
	case c.Rate == (conf.Rate{}):
		c.Rate.Times = 1
	}
	if c.Rate.Times != 0 {
		c.Shape, err = shape.Recorded(c.Rate.Times)
	} else {
		c.Shape, err = shape.Constant(c.Rate.PerSecond)
	}
	if err != nil {
		return fmt.Errorf("replay: rate %s: want a rate above 0 such as 5x or 2000/s: %w", c.Rate, err)
	}
	return nil
}

// Asked is the rate or the shape as it is written, or that there is none.
func (c *Config) Asked() string {
	if c.Closed {
		return rateClosed
	}
	if c.Rate == (conf.Rate{}) && c.Shape == nil {
		return "1x"
	}
	if c.Rate != (conf.Rate{}) {
		return c.Rate.String()
	}
	return c.Shape.String()
}
