package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/control"
)

// haltPatience is how long a proxy has to answer: a halt that hangs is none.
const haltPatience = 2 * time.Second

func haltCmd() *cobra.Command {
	var at proxyFlags
	var controllers, configs []string
	cmd := &cobra.Command{
		Use:   "halt",
		Short: "End every fault, now: at proxies and controllers, without a token",
		Long: `Tells all proxies and controllers given to end every fault, all at once, each whatever becomes of the others. A
controller tells its own proxies, and renews nothing any more. A proxy whose address cannot be reached can be told by
SIGUSR1, or by its halt file (docs/injecting.md). Exit code 1 when somebody was not reached.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, path := range configs {
				m, err := loadMesh(path)
				if err != nil {
					return err
				}
				if m.Admin == "" || strings.HasPrefix(m.Admin, "unix:") {
					return usageError("-c %s: it has no admin address that can be reached by HTTP", path)
				}
				at.urls = append(at.urls, m.Admin)
			}
			proxies, err := at.proxies()
			if err != nil {
				return err
			}
			if len(proxies)+len(controllers) == 0 {
				return usageError("halt: nobody to tell; name them with --proxy, --controller or -c MESH.YAML")
			}
			return haltAll(cmd, proxies, controllers)
		},
	}
	f := cmd.Flags()
	at.flag(f)
	f.StringSliceVar(&controllers, "controller", nil, "address of redlane inject serve; may be given several times")
	f.StringSliceVarP(&configs, "config", "c", nil, "mesh configuration that names the admin address of a proxy; may be given several times")
	return cmd
}

// haltAll tells everybody at once. Controllers are told with the proxies: whoever comes second ends nothing.
func haltAll(cmd *cobra.Command, proxies []control.Proxy, controllers []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), haltPatience)
	defer cancel()
	lines, errs := make([]string, len(proxies)+len(controllers)), make([]error, len(proxies)+len(controllers))
	var all sync.WaitGroup
	for i, p := range proxies {
		all.Go(func() {
			var n int
			n, errs[i] = (&injector.Client{Base: p.Base}).Halt(ctx)
			lines[i] = fmt.Sprintf("%s: %d faults ended", p.Name, n)
		})
	}
	for i, base := range controllers {
		if !strings.Contains(base, "://") {
			base = "http://" + base
		}
		i += len(proxies)
		all.Go(func() {
			var h control.Halt
			h, errs[i] = (&control.Client{Base: base}).Halt(ctx)
			lines[i] = fmt.Sprintf("%s: %d faults ended at %d proxies", base, h.Halted, len(h.Proxies))
		})
	}
	all.Wait()
	var missed []error
	for i, err := range errs {
		if err != nil {
			missed = append(missed, err)
			continue
		}
		fmt.Fprintln(cmd.OutOrStdout(), lines[i])
	}
	if len(missed) > 0 {
		return runError("halt: %d of %d were not reached: %s", len(missed), len(errs), strings.ReplaceAll(errors.Join(missed...).Error(), "\n", "; "))
	}
	return nil
}
