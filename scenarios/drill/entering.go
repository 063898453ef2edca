package drill

import (
	"context"

	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

// entering leaves of a recording what users asked of the service: of one that was made at every service of a mesh the
// calls between them would be sent as well, and be done twice.
type entering struct {
	traffic.Source
	service string
}

// opener opens recordings for a drill at service.
func opener(service string) func(ctx context.Context, name string) (traffic.Source, error) {
	return func(ctx context.Context, name string) (traffic.Source, error) {
		src, err := store.Open(ctx, name)
		if err != nil {
			return nil, err
		}
		return &entering{src, service}, nil
	}
}

// Next implements traffic.Source.
func (s *entering) Next(ctx context.Context, x *traffic.Exchange) error {
	for {
		if err := s.Source.Next(ctx, x); err != nil {
			return err
		}
		if x.Src == "" && x.Color == "" && (x.Dst == "" || x.Dst == s.service) {
			return nil
		}
	}
}
