package main

import (
	"cmp"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/control"
	"github.com/redlane/redlane/internal/conf"
)

func injectCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inject",
		Short: "Faults at running proxies: token, arm, ls, serve",
		Long: `Arms faults at the proxies of a running mesh and holds them: each is renewed every second, and is gone three
seconds after nobody does that any more (docs/injecting.md). To start one takes a drill token; to stop all takes
nothing: redlane halt.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(injectTokenCmd(), injectArmCmd(), injectLsCmd(), injectServeCmd())
	return cmd
}

// drillTokenEnv is where a drill token is found when no flag names a file.
const drillTokenEnv = "REDLANE_DRILL_TOKEN"

// A drillToken is the flag that says where the token is.
type drillToken struct{ file string }

func (d *drillToken) flag(f *pflag.FlagSet) {
	f.StringVar(&d.file, "token-file", "", "file with a drill token; "+drillTokenEnv+" holds one too")
}

func (d *drillToken) read() (string, error) {
	if d.file == "" {
		return os.Getenv(drillTokenEnv), nil
	}
	text, err := os.ReadFile(d.file)
	if err != nil {
		return "", usageError("--token-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// proxyFlags name proxies.
type proxyFlags struct{ urls []string }

func (p *proxyFlags) flag(f *pflag.FlagSet) {
	f.StringSliceVar(&p.urls, "proxy", nil, "admin address of a proxy, [NAME=]http://HOST:PORT; may be given several times")
}

// proxies reads what was given: the address may lack its http://.
func (p *proxyFlags) proxies() ([]control.Proxy, error) {
	var all []control.Proxy
	for _, text := range p.urls {
		name, base, named := strings.Cut(text, "=")
		if !named {
			name, base = "", text
		}
		base = strings.TrimSuffix(base, "/")
		if scheme, _, ok := strings.Cut(base, "://"); !ok {
			base = "http://" + base
		} else if scheme != "http" && scheme != "https" {
			return nil, usageError("--proxy %q: want [NAME=]http://HOST:PORT", text)
		}
		all = append(all, control.Proxy{Name: cmp.Or(name, strings.TrimPrefix(base, "http://")), Base: base})
	}
	return all, nil
}

// readLease takes a lease as it stands on the command line, a flow mapping, or in the file of that name.
func readLease(arg string) (l injector.Lease, err error) {
	name, text := "lease", []byte(arg)
	if !strings.HasPrefix(strings.TrimSpace(arg), "{") {
		if text, err = os.ReadFile(arg); err != nil {
			return l, usageError("read lease: %w; or write it out: '{fault: abort, lane: red, ...}'", err)
		}
		name = arg
	}
	if err := conf.Decode(name, text, &l); err != nil {
		return l, usageError("%w", err)
	}
	return l, nil
}
