// Command redlane-clickhouse runs a real ClickHouse on this machine, from libchdb. `redlane clickhouse`
// starts it; it is a program of its own because loading a shared library rules out static linking.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redlane/redlane/internal/chserver"
	"github.com/redlane/redlane/internal/chserver/chdb"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	if status, engine := chdb.Main(os.Stderr); engine {
		os.Exit(status)
	}
	cfg, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "redlane clickhouse: %v\n", err)
		os.Exit(exitUsage)
	}
	cfg.Ready = func(addr string) { fmt.Printf("ready on %s\n", addr) }
	cfg.Logf = func(format string, a ...any) {
		fmt.Fprintf(os.Stderr, "redlane clickhouse: "+format+"\n", a...)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := chserver.Run(ctx, cfg); err != nil {
		fmt.Fprintf(os.Stderr, "redlane clickhouse: %v\n", err)
		os.Exit(exitFailed)
	}
}

func parse(args []string, out io.Writer) (chserver.Config, error) {
	var cfg chserver.Config
	flags := flag.NewFlagSet("redlane clickhouse", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:9000", "`HOST:PORT` of the native protocol; port 0 picks a free one")
	flags.StringVar(&cfg.Data, "data", "", "`DIR` that holds the tables, made if missing (required)")
	flags.StringVar(&cfg.Library, "library", "", "`PATH` of libchdb.so (default: $"+chserver.LibraryEnv+", or what make clickhouse installed)")
	flags.StringVar(&cfg.Settings, "config", "", "`FILE` of ClickHouse's own settings, such as remote_servers and macros of a cluster")
	flags.Func("user", "`NAME:PASSWORD` that may come in, may be repeated (default: user default without a password)", func(s string) error {
		name, password, _ := strings.Cut(s, ":")
		if name == "" {
			return errors.New("want NAME:PASSWORD")
		}
		if cfg.Users == nil {
			cfg.Users = make(map[string]string)
		}
		cfg.Users[name] = password
		return nil
	})
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(out, "Runs a ClickHouse on this machine until it is interrupted.\n\n  redlane clickhouse --data DIR [flags]\n\nFlags:")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return cfg, err
	case err != nil:
		return cfg, err
	case flags.NArg() > 0:
		return cfg, fmt.Errorf("%q is not expected: all settings are flags, see --help", flags.Arg(0))
	case cfg.Data == "":
		return cfg, errors.New("--data DIR is missing: say where the tables are to live")
	}
	return cfg, nil
}
