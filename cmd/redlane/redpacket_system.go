package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/scenarios/redpacket"
)

func redpacketSystemCmd() *cobra.Command {
	var config, plant string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "system -c MESH.YAML",
		Short: "Run the four services at every endpoint and in every lane that a mesh configuration names",
		Long: `Runs one instance of gateway, shake, packet and account for each of their endpoints, all in this process, each
calling the others through the listeners that the mesh gives it. Start redlane proxy with the same file first, or after.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := loadMesh(config)
			if err != nil {
				return err
			}
			all, err := redpacket.System(m, redpacket.Config{Plant: plant, Seed: seed})
			if err != nil {
				return usageError("%s: %w", config, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d instances of redpacket\n", len(all))
			if err := redpacket.RunSystem(cmd.Context(), all); err != nil {
				return runError("%w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "mesh.yaml", "mesh configuration")
	cmd.Flags().StringVar(&plant, "plant", "", "a mistake for drills to find: "+redpacket.DoubleIssue)
	cmd.Flags().Uint64Var(&seed, "seed", 0, "of who wins what")
	return cmd
}
