package selection

import (
	"context"
	"errors"

	"github.com/redlane/redlane/replayer/shape"
	"github.com/redlane/redlane/traffic"
)

var errEndless = errors.New("poisson over the recording's own times needs an end: repeat it a number of times, not forever")

// Plan opens what a run is made of: the recording name as selected, and its shape. open opens recordings by
// name. The source is the caller's to close.
func (s *Selection) Plan(ctx context.Context, spec shape.Spec, name string, open func(ctx context.Context, name string) (traffic.Source, error)) (traffic.Source, *shape.Shape, error) {
	self := func(ctx context.Context) (traffic.Source, error) { return open(ctx, name) }
	selected := func(ctx context.Context) (traffic.Source, error) {
		switch {
		case s.Empty():
			return self(ctx)
		case s.Repeat == Forever:
			return nil, errEndless
		}
		return s.Open(ctx, self)
	}
	sh, err := spec.Shape(ctx, s.Seed, selected, open)
	if err != nil {
		return nil, nil, err
	}
	if s.Empty() {
		src, err := self(ctx)
		return src, sh, err
	}
	src, err := s.Open(ctx, self)
	if err != nil {
		return nil, nil, err // not a nil *Source in an interface
	}
	return src, sh, nil
}
