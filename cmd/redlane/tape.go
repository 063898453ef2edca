package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder/tape"
)

func tapeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tape",
		Short: "Look at recordings on disk: ls, stat, cat, verify, recover",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tapeLsCmd(), tapeStatCmd(), tapeCatCmd(), tapeVerifyCmd(), tapeRecoverCmd())
	return cmd
}

func tapeVerifyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "verify TAPE",
		Short: "Check every checksum and record of a tape; say what a crash cost",
		Long: `Reads everything, checks every checksum, decodes every record, and compares the counts with the index and the
ledger. Exit code 0 when the tape is whole, 1 when something is damaged or missing; what can be read is said.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := tape.Verify(args[0])
			if err != nil {
				return usageError("%w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), report)
			if !report.OK() {
				return &exitError{code: exitFailed} // the report has said what
			}
			return nil
		},
	}
}

func tapeRecoverCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "recover TAPE",
		Short: "Cut damaged ends off a tape that nobody is writing",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cuts, err := tape.Recover(args[0])
			if err != nil {
				return usageError("%w", err)
			}
			for _, cut := range cuts {
				fmt.Fprintln(cmd.OutOrStdout(), cut)
			}
			if len(cuts) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to cut")
			}
			return nil
		},
	}
}
