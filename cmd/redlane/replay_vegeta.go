package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/vegeta"
)

// senders that a replay may use.
var senders = []string{"redlane", "vegeta"}

// vegetaFlags choose the library of vegeta to send with.
type vegetaFlags struct {
	sender  string
	workers int
}

func (v *vegetaFlags) register(f *pflag.FlagSet) {
	f.StringVar(&v.sender, "sender", senders[0], "redlane, or vegeta: its library, for the behaviour of net/http (docs/replaying.md)")
	f.IntVar(&v.workers, "vegeta-workers", vegeta.DefaultWorkers, "requests on their way at once, with --sender vegeta")
}

func (v *vegetaFlags) apply(cfg *replayer.Config, set func(flag string) bool) error {
	switch {
	case v.sender == senders[0] && set("vegeta-workers"):
		return usageError("--vegeta-workers: only with --sender vegeta")
	case v.sender == senders[0]:
		return nil
	case v.sender != senders[1]:
		return usageError("--sender %q: want redlane or vegeta%s", v.sender, conf.DidYouMean(v.sender, senders))
	case set("engine"):
		return usageError("--engine: not with --sender vegeta, which sends by net/http")
	case strings.HasPrefix(cfg.To, "https://"), strings.HasPrefix(cfg.To, "unix:"):
		return usageError("--sender vegeta: only http to HOST:PORT; leave --sender out for %s", cfg.To)
	case v.workers < 1:
		return usageError("--vegeta-workers %d: must be above 0", v.workers)
	}
	cfg.Driver = vegeta.New(vegeta.Config{Workers: v.workers})
	if cfg.InFlight == 0 || cfg.InFlight > v.workers {
		cfg.InFlight = v.workers // more would wait here unseen
	}
	return nil
}
