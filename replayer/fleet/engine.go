package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

// A Job is a part of a run, as an Engine gets it.
type Job struct {
	Spec  []byte                    // what to replay, as given to Control
	Owns  func(session uint64) bool // the part's sessions
	From  uint64                    // the first place that is its business
	Agree func(ctx context.Context) (time.Time, error)
}

// A Part is work under way: a replayer.Part, or a model of one.
type Part interface {
	Next(until time.Duration) (replayer.Mark, bool)
	Allow(m replayer.Mark)
	Allowed() replayer.Mark
	Close()
	Take() *replayer.Result
	Counts() replayer.Counts
}

// An Engine prepares a Job. run does it; it is called once.
type Engine func(j Job) (p Part, run func(context.Context) (*replayer.Result, error), err error)

// An Open opens a recording, and makes the configuration of its replay.
type Open func(context.Context) (replayer.Config, traffic.Source, error)

// Replay is the Engine that sends. prepare makes of what Control was given a way to open the recording.
func Replay(prepare func(spec []byte) (Open, error)) Engine {
	return func(j Job) (Part, func(context.Context) (*replayer.Result, error), error) {
		open, err := prepare(j.Spec)
		if err != nil {
			return nil, nil, err
		}
		part := &replayer.Part{Owns: j.Owns, From: j.From, Agree: j.Agree}
		return part, func(ctx context.Context) (res *replayer.Result, err error) {
			cfg, src, err := open(ctx)
			if err != nil {
				return nil, fmt.Errorf("open the recording: %w", err)
			}
			defer func() {
				if closeErr := src.Close(); err == nil {
					err = closeErr
				}
			}()
			cfg.Part = part
			res, err = replayer.Run(ctx, cfg, src)
			if err == nil && res.Stopped != "" {
				err = errors.New(res.Stopped)
			}
			return res, err
		}, nil
	}
}
