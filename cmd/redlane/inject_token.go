package main

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

func injectTokenCmd() *cobra.Command {
	var key, issuer, out string
	var lanes []string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "token --key FILE --lane COLOUR --for TIME",
		Short: "Make a drill token: who holds it may start faults in these lanes until it expires",
		Long: `Signs a drill token. The private key is one of redlane ticket keygen; the public one belongs into the
mesh configuration: drills: {keys: [NAME.pub]}.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data, err := os.ReadFile(key)
			if err != nil {
				return usageError("--key: %w", err)
			}
			private, err := ticket.ParsePrivate(data)
			if err != nil {
				return usageError("--key: %s: %w", key, err)
			}
			colors := make([]traffic.Color, len(lanes))
			for i, lane := range lanes {
				colors[i] = traffic.Color(lane)
			}
			t, err := token.Issue(private, colors, cmp.Or(issuer, userName()), clock.System.Now(), life)
			if err != nil {
				return usageError("%w", err)
			}
			if out == "" {
				fmt.Fprintln(cmd.OutOrStdout(), t)
				return nil
			}
			if err := os.WriteFile(out, []byte(t.String()+"\n"), 0o600); err != nil {
				return runError("write drill token: %w", err)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "private key, as redlane ticket keygen writes it")
	f.StringSliceVar(&lanes, "lane", nil, "lane that faults may be started in; may be given several times")
	f.DurationVar(&life, "for", time.Hour, "how long it is good, at most a day")
	f.StringVar(&issuer, "issuer", "", "who asks for it, for people; empty is the user's name")
	f.StringVar(&out, "out", "", "file to write it to, readable by its user only; empty prints it")
	_ = cmd.MarkFlagRequired("key")  // the flag exists
	_ = cmd.MarkFlagRequired("lane") // the flag exists
	return cmd
}

// userName is for people; a user without a name is nobody.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "nobody"
}
