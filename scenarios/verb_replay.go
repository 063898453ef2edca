package scenarios

import (
	"context"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// replay sends a recording into a lane of a service, each request at its due time.
//
//	replay: {tape: tape://out/eve, to: gateway, lane: red, rate: 5x}
type replay struct {
	Tape     string        `yaml:"tape"`      // required; where a recording is: tape://DIR or clickhouse://...
	To       string        `yaml:"to"`        // required; a service with a listener for unknown callers
	Lane     traffic.Color `yaml:"lane"`      // required
	Rate     conf.Rate     `yaml:"rate"`      // default 1x
	Timeout  time.Duration `yaml:"timeout"`   // of a request; 0 means 10s
	LagLimit time.Duration `yaml:"lag_limit"` // p99 of lag beyond which the run is invalid; 0 means 10ms
}

var _ = register("replay", func() verb { return new(replay) })

func (v *replay) check(s *Scenario, st *Step) error {
	if v.Rate == (conf.Rate{}) {
		v.Rate.Times = 1
	}
	switch svc := s.Services[v.To]; {
	case v.Tape == "":
		return st.Errorf("replay: tape is missing: say where the recording is")
	case v.To == "":
		return st.Errorf("replay: to is missing: say which service")
	case svc == nil:
		return st.Errorf("replay: to: no service %q%s", v.To, conf.DidYouMean(v.To, s.serviceNames()))
	case svc.Listen == "":
		return st.Errorf("replay: to: service %s has no listen address; a replay comes in from outside", v.To)
	case v.Lane == "":
		return st.Errorf("replay: lane is missing: a replay never goes to the baseline")
	case st.For > 0:
		return st.Errorf("replay: for: a replay lasts as long as its recording; use rate")
	case v.Timeout < 0 || v.LagLimit < 0:
		return st.Errorf("replay: a negative duration")
	}
	if err := s.knowsLane(v.Lane); err != nil {
		return st.Errorf("replay: lane: %w", err)
	}
	if err := store.Check(v.Tape); err != nil {
		return st.Errorf("replay: tape: %w", err)
	}
	return nil
}

func (v *replay) run(ctx context.Context, r *run, st *Step) error {
	src, err := store.Open(ctx, v.Tape)
	if err != nil {
		return err
	}
	defer src.Close()
	result, err := replayer.Run(ctx, replayer.Config{
		To: r.address(v.To), Lane: v.Lane, Rate: v.Rate, Seed: r.scenario.Seed, Workers: r.loops, Timeout: v.Timeout, LagLimit: v.LagLimit,
	}, src)
	if result != nil {
		r.addReplay(v, st, result)
	}
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// String is the step on one line.
func (v *replay) String() string {
	return fmt.Sprintf("replay %s to %s, lane %s, at %s", v.Tape, v.To, v.Lane, v.Rate)
}
