package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/reports"
)

func reportCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "report REPORT.JSON",
		Short: "Make the report of a run again from its report.json",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := reports.Read(args[0])
			if err != nil {
				return usageError("%w", err)
			}
			if err := reports.Write(out, run); err != nil {
				return runError("%w", err)
			}
			verdict := reports.Judge(run)
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n%s/index.html\n", verdict.Word, verdict.Sentence, out)
			return verdictError(verdict)
		},
	}
	cmd.Flags().StringVar(&out, "out", "out/report", "folder for index.html, report.json, junit.xml and summary.md")
	return cmd
}

// verdictError ends the program with the verdict's exit code; what it says has been printed.
func verdictError(v reports.Verdict) error {
	if v.Code == exitPass {
		return nil
	}
	return &exitError{code: v.Code}
}
