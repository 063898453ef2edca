package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/chserver"
)

func clickhouseCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "clickhouse --data DIR [--listen HOST:PORT]",
		Short: "Run a real ClickHouse on this machine (make clickhouse installs it)",
		// The launcher is a program of its own (docs/adr/0002-clickhouse-launcher.md) and knows its flags.
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return runError("clickhouse: %w", chserver.Exec(args)) // returns only when it could not start
		},
	}
}

// A localServer is a ClickHouse that the demo started.
type localServer struct {
	cmd *exec.Cmd
}

// startDemoClickHouse runs a ClickHouse with its data in dir, and returns the URL of the demo's recording.
func startDemoClickHouse(ctx context.Context, dir string) (*localServer, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", runError("find this program: %w", err)
	}
	log, err := os.Create(dir + ".log")
	if err != nil {
		return nil, "", runError("start ClickHouse: %w", err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(self, "clickhouse", "--data", dir, "--listen", "127.0.0.1:0")
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for us; we stop it when nothing needs it any more
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", runError("start ClickHouse: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, "", runError("start ClickHouse: %w", err)
	}
	server := &localServer{cmd: cmd}
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		ready <- strings.TrimSpace(line)
	}()
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // a cold start reads 540 MB
	defer cancel()
	select {
	case line := <-ready:
		addr, ok := strings.CutPrefix(line, "ready on ")
		if !ok {
			server.stop()
			return nil, "", runError("start ClickHouse: it ended at once; its output is in %s", log.Name())
		}
		return server, "clickhouse://" + addr + "/redlane?recording=" + filepath.Base(filepath.Dir(dir)), nil
	case <-ctx.Done():
		server.stop()
		return nil, "", runError("start ClickHouse: not ready: %w; its output is in %s", ctx.Err(), log.Name())
	}
}

func (s *localServer) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	if err := s.cmd.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "redlane: ClickHouse ended with", err)
	}
}
