// Command redlane records the traffic of a running system, keeps it, and drives it again, faster and
// with faults, into isolated lanes of the same system. One file per verb.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redlane/redlane/internal/conf"
)

// version is set by the linker.
var version = "dev"

// verbs in the order of a newcomer's first hour.
var verbs = []func() *cobra.Command{
	demoCmd, proxyCmd, interceptCmd, recordCmd, tapeCmd, recordingCmd, importCmd, exportCmd, replayCmd, workerCmd, ticketCmd, checkCmd, runCmd,
	injectCmd, drillCmd, haltCmd, toxiproxyCmd, agentCmd, reportCmd, clickhouseCmd, redpacketCmd,
}

func main() {
	os.Exit(execute(os.Args[1:]))
}

// execute runs one command line and returns the exit code. SIGINT and SIGTERM end the verb's context, so
// that it drains; a second one kills.
func execute(args []string) int {
	limitMemory()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := rootCmd()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitPass
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{exitUsage, err} // cobra's own errors are about how it was called
	}
	if exit.err != nil {
		fmt.Fprintln(os.Stderr, "redlane:", exit.err)
	}
	return exit.code
}

func rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "redlane",
		Short:         "Record real traffic, replay it into isolated lanes, with faults, and report what held",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetVersionTemplate("redlane {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError("%s: %w%s", cmd.CommandPath(), err, nearestFlag(cmd, err))
	})
	for _, verb := range verbs {
		root.AddCommand(verb())
	}
	return root
}

func nearestFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	slices.Sort(names)
	return conf.DidYouMean(unknown.GetSpecifiedName(), names)
}
