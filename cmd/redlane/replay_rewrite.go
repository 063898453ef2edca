package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/replayer/rewrite"
)

// rewriteFlags say what a replay changes in the requests of a recording (docs/rewriting.md).
type rewriteFlags struct {
	cfg  rewrite.Config
	file string
}

func (r *rewriteFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.TextVar(&r.cfg.Learn, "learn", rewrite.LearnOn, "on: ids and tokens that the target answers replace the recorded ones of their session; shared: of all sessions; off")
	f.StringVar(&r.file, "rules", "", "file of rules for what to replace, sign and shift (docs/rewriting.md)")
	f.IntVar(&r.cfg.Clones, "amplify", 1, "sessions that each recorded one becomes, with connections, values and keys of their own")
	f.DurationVar(&r.cfg.Spread, "amplify-spread", 0, "start the clones of a session up to so much later, always the same with one seed")
}

// set reads the rule file and makes cfg use it.
func (r *rewriteFlags) set(cfg *replayer.Config) error {
	if r.cfg.Clones < 1 {
		return usageError("--amplify %d: want 1 or more", r.cfg.Clones)
	}
	if r.file != "" {
		data, err := os.ReadFile(r.file)
		if err != nil {
			return usageError("--rules: %w", err)
		}
		if r.cfg.File, err = rewrite.Parse(r.file, data, os.Getenv); err != nil {
			return usageError("%w", err)
		}
	}
	r.cfg.Seed = cfg.Seed
	rules, err := rewrite.New(r.cfg)
	if err != nil {
		return usageError("%w", err)
	}
	cfg.Rewrite = rules
	return nil
}

func printRewritten(w io.Writer, r *replayer.Result) {
	c := &r.Rewritten
	if *c == (rewrite.Counts{}) {
		return
	}
	fmt.Fprintf(w, "rewritten: %d values learned, %d substituted, %d unresolved; %d replaced by rules, %d signed, %d not signed; %d sessions forgotten\n",
		c.Learned, c.Substituted, c.Unresolved, c.Replaced, c.Signed, c.Unsigned, c.Forgotten)
}
