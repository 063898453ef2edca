package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/scenarios/library"
)

func demoCmd() *cobra.Command {
	var store, out string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole loop on this machine, in under a minute",
		Long: `Runs scenarios/library/redpacket.yaml on free ports: four services as the baseline and as lane red, live
traffic recorded, replayed at 5x into the lane, one call made slow there, and a report.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if store != "tape" && store != "clickhouse" {
				return usageError("--store %q: want tape or clickhouse", store)
			}
			return demo(cmd, store, out)
		},
	}
	cmd.Flags().StringVar(&store, "store", "tape", "where the recording is kept: tape or clickhouse")
	cmd.Flags().StringVar(&out, "out", "out/demo", "folder for the scenario, the tape, logs and the report; emptied first")
	return cmd
}

func demo(cmd *cobra.Command, store, out string) error {
	if err := emptyDemoFolder(out); err != nil {
		return err
	}
	text, err := onFreePorts(library.Redpacket)
	if err != nil {
		return err
	}
	text = strings.ReplaceAll(text, "tape://out/redpacket/tape", "tape://"+filepath.Join(out, "tape"))
	if store == "clickhouse" {
		server, url, err := startDemoClickHouse(cmd.Context(), filepath.Join(out, "clickhouse"))
		if err != nil {
			return err
		}
		defer server.stop()
		text = strings.ReplaceAll(text, "tape://"+filepath.Join(out, "tape"), url)
	}
	path := filepath.Join(out, "scenario.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return runError("write the demo's scenario: %w", err)
	}
	return runScenario(cmd, path, filepath.Join(out, "report"))
}

// demoMark is a file that says a folder was made by the demo, and may be emptied by it.
const demoMark = ".redlane-demo"

func emptyDemoFolder(out string) error {
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(out, demoMark)); err != nil {
			return usageError("--out %s: not empty and not made by the demo; name another folder", out)
		}
		if err := os.RemoveAll(out); err != nil {
			return runError("empty %s: %w", out, err)
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return runError("make the demo's folder: %w", err)
	}
	return os.WriteFile(filepath.Join(out, demoMark), nil, 0o644)
}

var loopbackPort = regexp.MustCompile(`127\.0\.0\.1:9\d\d\d\b`)

// onFreePorts gives every address of the scenario a port that is free now. All are held until the last
// is found, so that no port is given twice.
func onFreePorts(scenario string) (string, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	given := make(map[string]string)
	var failed error
	text := loopbackPort.ReplaceAllStringFunc(scenario, func(addr string) string {
		if given[addr] == "" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				failed = runError("find a free port: %w", err)
				return addr
			}
			held = append(held, l)
			given[addr] = l.Addr().String()
		}
		return given[addr]
	})
	return text, failed
}
