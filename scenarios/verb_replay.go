package scenarios

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/replayer/selection"
	"github.com/redlane/redlane/replayer/shape"
	"github.com/redlane/redlane/traffic"
)

// replay sends a recording into a lane of a service, each request at its due time.
//
//	replay: {tape: tape://out/eve, to: gateway, lane: red, rate: 5x}
//
// The for of its step ends it before recording and shape do.
type replay struct {
	Tape     string        `yaml:"tape"`        // required; where a recording is: tape://DIR or clickhouse://...
	To       string        `yaml:"to"`          // required; a service with a listener for unknown callers
	Lane     traffic.Color `yaml:"lane"`        // required
	Rate     shape.Spec    `yaml:"rate"`        // default 1x
	Strict   bool          `yaml:"strict_lane"` // refuse a lane whose rules may let its traffic into the baseline
	Timeout  time.Duration `yaml:"timeout"`     // of a request; 0 means 10s
	LagLimit time.Duration `yaml:"lag_limit"`   // p99 of lag beyond which the run is invalid; 0 means 10ms

	Window selection.Window `yaml:"window"` // default all of it
	Share  conf.Share       `yaml:"share"`  // of the sessions; 0 means all
	Only   selection.Match  `yaml:"only"`
	Except selection.Match  `yaml:"except"`
	Repeat selection.Passes `yaml:"repeat"` // default once

	Learn   rewrite.Learn `yaml:"learn"`          // default on
	Rules   string        `yaml:"rules"`          // file of rules for what to replace, sign and shift
	Amplify int           `yaml:"amplify"`        // sessions that each recorded one becomes; default 1
	Spread  time.Duration `yaml:"amplify_spread"` // clones start up to so much later
}

var _ = register("replay", func() verb { return &replay{Learn: rewrite.LearnOn} })

func (v *replay) check(s *Scenario, st *Step) error {
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
	case v.Repeat == selection.Forever && st.For == 0 && !v.Rate.Bounded():
		return st.Errorf("replay: repeat: forever has no end: give the step a for, or the rate a shape that ends")
	case v.Timeout < 0 || v.LagLimit < 0 || v.Spread < 0:
		return st.Errorf("replay: a negative duration")
	}
	if err := s.knowsLane(v.Lane); err != nil {
		return st.Errorf("replay: lane: %w", err)
	}
	if svc := s.Services[v.To]; len(svc.Lanes[v.Lane].Endpoints) == 0 {
		return st.Errorf("replay: %s has no instance in lane %s, so the replay would not be let in", v.To, v.Lane)
	}
	if err := store.Check(v.Tape); err != nil {
		return st.Errorf("replay: tape: %w", err)
	}
	if name := v.Rate.Recording(); name != "" {
		if err := store.Check(name); err != nil {
			return st.Errorf("replay: rate: %w", err)
		}
	}
	if err := v.choice(s).Check(); err != nil {
		return st.Errorf("replay: %w", err)
	}
	if _, err := v.rewriting(s); err != nil {
		return st.Errorf("replay: %w", err)
	}
	return nil
}

// rewriting reads the rule file, at the check and again when the step begins: a run may change it before.
func (v *replay) rewriting(s *Scenario) (*rewrite.Rules, error) {
	cfg := rewrite.Config{Learn: v.Learn, Clones: v.Amplify, Spread: v.Spread, Seed: s.Seed}
	if v.Rules != "" {
		data, err := os.ReadFile(v.Rules)
		if err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
		if cfg.File, err = rewrite.Parse(v.Rules, data, os.Getenv); err != nil {
			return nil, err
		}
	}
	return rewrite.New(cfg)
}

func (v *replay) run(ctx context.Context, r *run, st *Step) error {
	src, along, err := v.choice(r.scenario).Plan(ctx, v.Rate, v.Tape, store.Open)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	defer src.Close()
	rules, err := v.rewriting(r.scenario)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	result, err := replayer.Run(ctx, replayer.Config{
		To: r.address(v.To), Lane: v.Lane, Shape: along, For: st.For, Seed: r.scenario.Seed, Workers: r.loops, Timeout: v.Timeout, LagLimit: v.LagLimit,
		TicketKeys: ticket.KeysOf(r.ticketKey.Public().(ed25519.PublicKey)), Service: v.To, StrictLane: v.Strict, RunID: r.runID(),
		Rewrite: rules,
	}, src)
	if result != nil {
		r.addReplay(v, st, result)
	}
	switch {
	case err != nil:
		return fmt.Errorf("replay: %w", err)
	case result.Stopped != "":
		return fmt.Errorf("replay: stopped: %s", result.Stopped)
	}
	return nil
}

func (v *replay) choice(s *Scenario) *selection.Selection {
	return &selection.Selection{Window: v.Window, Share: v.Share, Only: v.Only, Except: v.Except, Repeat: v.Repeat, Seed: s.Seed}
}

// String is the step on one line.
func (v *replay) String() string {
	return fmt.Sprintf("replay %s to %s, lane %s, at %s", v.Tape, v.To, v.Lane, v.Rate)
}
