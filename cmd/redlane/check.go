package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/scenarios"
)

func checkCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Find the mistakes in scenario files, before a socket opens",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range args {
				s, err := scenarios.Load(path)
				if err != nil {
					return usageError("%w", err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %d services, %d steps, %d expectations\n", path, len(s.Services), len(s.Steps), len(s.Expect))
			}
			return nil
		},
	}
}
