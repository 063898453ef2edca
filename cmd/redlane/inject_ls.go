package main

import (
	"context"
	"fmt"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/injector"
)

func injectLsCmd() *cobra.Command {
	var at proxyFlags
	cmd := &cobra.Command{
		Use:   "ls --proxy URL",
		Short: "List the faults at proxies, live ones and those that were",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			proxies, err := at.proxies()
			if err != nil {
				return err
			}
			lists, errs := make([][]injector.Status, len(proxies)), make([]error, len(proxies))
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			var all sync.WaitGroup
			for i, p := range proxies {
				all.Go(func() { lists[i], errs[i] = (&injector.Client{Base: p.Base}).List(ctx) })
			}
			all.Wait()
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "PROXY\tID\tSTATE\tFAULT\tLANE\tEDGE\tSHARE\tSTRUCK\tOF\tEXPIRES")
			for i, p := range proxies {
				for _, s := range lists[i] {
					l := &s.Lease
					fmt.Fprintf(table, "%s\t%s\t%s\t%s %v\t%s\t%s\t%s\t%d\t%d\t%s\n", p.Name, s.ID, s.State, injector.Kind(l.Fault), l.Fault, l.Lane, l.Edge,
						l.Share, s.Struck, s.Looked, s.Expires.UTC().Format(time.RFC3339))
				}
			}
			if err := table.Flush(); err != nil {
				return runError("%w", err)
			}
			for i, err := range errs {
				if err != nil {
					return runError("%s: %w", proxies[i].Name, err)
				}
			}
			return nil
		},
	}
	at.flag(cmd.Flags())
	_ = cmd.MarkFlagRequired("proxy") // the flag exists
	return cmd
}
