package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/scenarios/drill"
)

func drillCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Fault drills: a control lane and a faulted lane fed the same requests: run, check, verify, generate",
		Long:  "Drills are experiment files of the Chaos Toolkit with an extension of ours: docs/drills.md.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(drillRunCmd(), drillCheckCmd(), drillVerifyCmd(), drillGenerateCmd())
	return cmd
}

func drillRunCmd() *cobra.Command {
	var out, signFile string
	var token drillToken
	var target replayer.Config
	var check laneCheck
	cmd := &cobra.Command{
		Use:   "run EXPERIMENT",
		Short: "Run a drill, write its journal and its report",
		Long: `Feeds both lanes of the experiment with the same recorded requests, tests the brake, looks at the hypothesis,
carries out the method, rolls back and shows that nothing is left. Ends with the exit code of the verdict: 0 PASS,
1 FAILED, 3 STOPPED by the guard, 4 NOT PROVEN, 5 INVALID; 2 when it was refused before anything was armed.
Interrupted, it ends the fault and still writes journal and report.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := drill.Load(args[0])
			if err != nil {
				return usageError("%w", err)
			}
			if err := check.apply(&target); err != nil {
				return err
			}
			if len(target.TicketKeys) == 0 && !target.UnsafeTarget {
				return usageError("drill run: no ticket key given: name the mesh configuration with --mesh or its public key with --ticket-key, or feed unchecked lanes with --unsafe-target")
			}
			opt := drill.Options{
				TicketKeys: target.TicketKeys, Unsafe: target.UnsafeTarget, Clock: clock.System, Version: version, Env: os.LookupEnv,
				Progress: cmd.OutOrStdout(), Repeat: "redlane drill run " + args[0],
			}
			if opt.Token, err = token.read(); err != nil {
				return err
			}
			if opt.SignWith, err = signingKey(signFile); err != nil {
				return err
			}
			if out == "" {
				out = filepath.Join("out", strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0])))
			}
			return runDrill(cmd, x, opt, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "folder for journal.json and the report (default out/NAME)")
	token.flag(f)
	f.StringVar(&signFile, "sign", "", "file with an Ed25519 private key that the journal is signed with; see redlane ticket keygen")
	f.StringArrayVar(&check.files, "ticket-key", nil, "file with the public key, or keys, that the lanes' tickets are signed with")
	f.StringVar(&check.mesh, "mesh", "", "mesh configuration of the target, for the key of its tickets; in place of --ticket-key")
	f.BoolVar(&target.UnsafeTarget, "unsafe-target", false, "feed the lanes without asking the target for lane tickets")
	return cmd
}

func signingKey(file string) (ed25519.PrivateKey, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError("--sign: %w", err)
	}
	key, err := ticket.ParsePrivate(data)
	if err != nil {
		return nil, usageError("--sign: %s: %w", file, err)
	}
	return key, nil
}

// journalFile is the journal's name in the folder of a drill.
const journalFile = "journal.json"

func runDrill(cmd *cobra.Command, x *drill.Experiment, opt drill.Options, out string) error {
	// Two replays, each with a loop that keeps its processor and a feed; the proxy, and the rest.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 6))
	opt.Loops = 1
	result, err := drill.Run(cmd.Context(), x, opt)
	if result == nil {
		return usageError("%w", err)
	}
	if writeErr := writeDrill(out, result); writeErr != nil {
		return writeErr
	}
	w := cmd.OutOrStdout()
	var no *drill.Refusal
	if errors.As(err, &no) {
		fmt.Fprintf(w, "journal: %s\n", filepath.Join(out, journalFile))
		return usageError("%w", err)
	}
	verdict := reports.Judge(result.Report)
	printResult(w, result.Report, verdict)
	fmt.Fprintf(w, "\njournal: %s\nreport: %s\n", filepath.Join(out, journalFile), filepath.Join(out, reports.HTMLFile))
	return verdictError(verdict)
}

func writeDrill(out string, result *drill.Result) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return runError("make the drill's folder: %w", err)
	}
	text, err := result.Journal.Encode()
	if err != nil {
		return runError("%w", err)
	}
	if err := os.WriteFile(filepath.Join(out, journalFile), text, 0o644); err != nil {
		return runError("write journal: %w", err)
	}
	result.Report.Files = append(result.Report.Files, reports.File{Path: filepath.Join(out, journalFile), What: "journal of the Chaos Toolkit, with our extension"})
	if err := reports.Write(out, result.Report); err != nil {
		return runError("%w", err)
	}
	return nil
}

func drillCheckCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "check EXPERIMENT...",
		Short: "Find every mistake in experiments that needs no proxy",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, path := range args {
				x, err := drill.Load(path)
				if err != nil {
					return usageError("%w", err)
				}
				what := "no extension " + drill.ExtensionName + ": stock runners take it, drill run does not"
				if d := x.Drill; d != nil {
					what = fmt.Sprintf("lane %s against %s, %s", d.Lane, d.Control, d.Edge)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %s\n", path, what)
			}
			return nil
		},
	}
}

func drillVerifyCmd() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "verify JOURNAL",
		Short: "Check that a journal is as it was written, and who signed it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys := ticket.Keys{}
			for _, name := range files {
				data, err := os.ReadFile(name)
				if err != nil {
					return usageError("--key: %w", err)
				}
				more, err := ticket.ParsePublic(data)
				if err != nil {
					return usageError("--key: %s: %w", name, err)
				}
				keys.Add(more)
			}
			text, err := os.ReadFile(args[0])
			if err != nil {
				return usageError("read journal: %w", err)
			}
			sig, err := drill.Verify(text, keys)
			if err != nil {
				return runError("%s: %w", args[0], err)
			}
			sayVerified(cmd.OutOrStdout(), args[0], sig, len(keys) > 0)
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&files, "key", nil, "file with the public key, or keys, it must be signed with; without one only the hash is looked at")
	return cmd
}

func sayVerified(w io.Writer, path string, sig drill.Signature, keyed bool) {
	switch {
	case keyed:
		fmt.Fprintf(w, "%s: ok: signed with key %s\n", path, sig.Key)
	case sig.Value != "":
		fmt.Fprintf(w, "%s: ok: the hash is right; signed with key %s, which was not looked at\n", path, sig.Key)
	default:
		fmt.Fprintf(w, "%s: ok: the hash is right; it is not signed\n", path)
	}
}
