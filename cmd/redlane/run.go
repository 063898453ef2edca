package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/scenarios"
)

func runCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a scenario and write its report",
		Long: `Runs the steps of a scenario, takes the measures its expectations name, writes the report and ends with the
exit code of the verdict: 0 PASS, 1 FAILED, 3 STOPPED, 4 NOT PROVEN, 5 INVALID. Interrupted, it stops
everything it started and still writes the report.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				name := filepath.Base(args[0])
				out = filepath.Join("out", strings.TrimSuffix(name, filepath.Ext(name)), "report")
			}
			return runScenario(cmd, args[0], out)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder for the report and the logs of processes (default out/NAME/report)")
	return cmd
}

func runScenario(cmd *cobra.Command, path, out string) error {
	s, err := scenarios.Load(path)
	if err != nil {
		return usageError("%w", err)
	}
	loops := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(scenarios.Processors(loops))
	w := cmd.OutOrStdout()
	result, err := scenarios.Run(cmd.Context(), s, scenarios.Options{
		Out: out, Clock: clock.System, Version: version, Progress: w, Loops: loops,
		Repeat: fmt.Sprintf("redlane run %s --out %s", path, out),
	})
	if err != nil {
		return runError("%w", err)
	}
	if err := reports.Write(out, result); err != nil {
		return runError("%w", err)
	}
	verdict := reports.Judge(result)
	printResult(w, result, verdict)
	fmt.Fprintf(w, "\nreport: %s\n", filepath.Join(out, "index.html"))
	return verdictError(verdict)
}
