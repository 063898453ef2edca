package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/recorder/format/jsonl"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/traffic"
)

func tapeCatCmd() *cobra.Command {
	var limit uint64
	cmd := &cobra.Command{
		Use:   "cat RECORDING",
		Short: "Print exchanges as JSON lines, in the order in which they started",
		Long: `Prints one JSON object per exchange, as export --format jsonl does: all that is known of it, so that import can
read it again. Headers are lists of [name, value] in the order of the wire. Text that is not UTF-8 is an object
{"base64": "..."}.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			src, err := store.Open(cmd.Context(), args[0])
			if err != nil {
				return usageError("%w", err)
			}
			defer src.Close()
			w := jsonl.NewWriter(cmd.OutOrStdout())
			defer func() { err = errors.Join(err, w.Close()) }()
			x := new(traffic.Exchange)
			for n := uint64(0); limit == 0 || n < limit; n++ {
				if err := src.Next(cmd.Context(), x); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return runError("%w", err)
				}
				if err := w.Put(cmd.Context(), x); err != nil {
					return runError("print exchange: %w", err)
				}
			}
			return nil
		},
	}
	cmd.Flags().Uint64VarP(&limit, "limit", "n", 0, "print at most this many; 0 is all")
	return cmd
}
