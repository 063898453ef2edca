package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/replayer"
	chosen "github.com/redlane/redlane/replayer/selection" // export has a selection of its own
	"github.com/redlane/redlane/replayer/shape"
	"github.com/redlane/redlane/traffic"
)

// planFlags say what of a recording is replayed, and when.
type planFlags struct {
	rate   shape.Spec
	choice chosen.Selection
}

func (p *planFlags) register(f *pflag.FlagSet, cfg *replayer.Config) {
	f.TextVar(&p.rate, "rate", shape.Spec{}, "5x: as recorded, five times as fast; 2000/s: evenly; or a shape (docs/replaying.md), such as '0/s..5000/s over 30s, 5000/s for 1m'")
	f.DurationVar(&cfg.For, "for", 0, "end the run after this long; 0 is when recording or shape end")
	f.TextVar(&p.choice.Repeat, "repeat", chosen.Passes(0), "how often the recording is replayed, or forever; each pass has sessions of its own")
	f.TextVar(&p.choice.Window, "window", chosen.Window{}, "part of the recorded time: +30s..+2m from its beginning, or 10:00..10:05 UTC")
	f.TextVar(&p.choice.Share, "share", conf.Share(1), "of the recorded sessions, chosen by --seed")
	f.Var(&p.choice.Only, "only", "requests that match: service, method, path, route, status or colour, such as path=/api/**; again for another key")
	f.Var(&p.choice.Except, "except", "no requests that match, as --only")
}

// open opens the recording as selected, and makes the shape of the run.
func (p *planFlags) open(ctx context.Context, cfg *replayer.Config, recording string) (traffic.Source, error) {
	for _, name := range []string{recording, p.rate.Recording()} {
		if name == "" {
			continue
		}
		if err := store.Check(name); err != nil {
			return nil, err
		}
	}
	if p.choice.Share == 0 {
		return nil, errors.New("--share 0%: nothing would be sent")
	}
	p.choice.Seed = cfg.Seed
	src, s, err := p.choice.Plan(ctx, p.rate, recording, store.Open)
	if err != nil {
		return nil, err
	}
	cfg.Shape, cfg.Rate = s, conf.Rate{}
	return src, nil
}

// rehearsable refuses a --dry-run that would never end.
func (p *planFlags) rehearsable(cfg *replayer.Config) error {
	if p.choice.Repeat == chosen.Forever && cfg.For == 0 && !p.rate.Bounded() {
		return usageError("--dry-run: --repeat forever has no end; add --for, or a shape that ends")
	}
	return nil
}

// printSelection says what was selected, where something was.
func printSelection(w io.Writer, src traffic.Source) {
	if s, ok := src.(*chosen.Source); ok {
		fmt.Fprintln(w, s)
	}
}
