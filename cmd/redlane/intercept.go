package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/mesh/intercept"
)

func interceptCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "intercept",
		Short: "Redirect connections of programs that know nothing of the proxy: on, off, status",
		Long: `Has the kernel redirect outgoing TCP connections to the proxy, by rules in an nf_tables table of its own (inet redlane).
Which ones, the intercept part of the mesh configuration says (docs/mesh.md); those of the proxy's own user are left alone.
The rules hold for this network namespace until they are taken away or the machine restarts, whether a proxy runs or not.
Needs CAP_NET_ADMIN.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(interceptOnCmd(), interceptOffCmd(), interceptStatusCmd())
	return cmd
}

func interceptOnCmd() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "on -c MESH.YAML",
		Short: "Put the rules of a mesh configuration into force, in place of those there are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := loadMesh(config)
			if err != nil {
				return err
			}
			if m.Intercept == nil {
				return usageError("%s: no intercept: it says where the proxy takes intercepted connections, and which", config)
			}
			if err := intercept.On(m); err != nil {
				return runError("%w", err)
			}
			return printRules(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "mesh.yaml", "mesh configuration")
	return cmd
}

func interceptOffCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "off",
		Short: "Remove every rule; connections go directly again",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := intercept.Off(); err != nil {
				return runError("%w", err)
			}
			return nil
		},
	}
}

func interceptStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the rules in force, and how many connections each has decided about",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printRules(cmd.OutOrStdout())
		},
	}
}

// printRules says what the kernel has, not what a file asks for.
func printRules(w io.Writer) error {
	rules, err := intercept.Status()
	if err != nil {
		return runError("%w", err)
	}
	if len(rules) == 0 {
		fmt.Fprintln(w, "interception is off")
		return nil
	}
	fmt.Fprintln(w, "interception is on; connections so far, and what becomes of them:")
	for _, r := range rules {
		fmt.Fprintf(w, "%8d  %s\n", r.Connections, r.Words)
	}
	return nil
}
