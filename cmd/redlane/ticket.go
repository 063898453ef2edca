package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/traffic"
)

func ticketCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ticket",
		Short: "Lane tickets, by which a target proves to a replay that it is a lane: keygen, ask",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(ticketKeygenCmd(), ticketAskCmd())
	return cmd
}

func ticketKeygenCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen NAME",
		Short: "Make a key pair: NAME.key for the mesh configuration, NAME.pub for those who replay",
		Long: `Writes an Ed25519 key pair as PEM: NAME.key, the private key, which tickets: {key: NAME.key} in the mesh
configuration makes the proxies sign lane tickets with; and NAME.pub, the public key for redlane replay
--ticket-key. Files that are there already are left alone. openssl reads and writes the same files.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, private, err := ed25519.GenerateKey(nil)
			if err != nil {
				return runError("make ticket key: %w", err)
			}
			secret, err := ticket.EncodePrivate(private)
			if err != nil {
				return runError("%w", err)
			}
			open, err := ticket.EncodePublic(public)
			if err != nil {
				return runError("%w", err)
			}
			if err := writeNew(args[0]+".key", secret, 0o600); err != nil {
				return err
			}
			if err := writeNew(args[0]+".pub", open, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s.key and %s.pub: key %s\n", args[0], args[0], ticket.KeyID(public))
			return nil
		},
	}
}

// writeNew writes a file that is not there yet.
func writeNew(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return usageError("%s: there is such a file already; name another, or remove it", name)
	}
	if err != nil {
		return runError("write ticket key: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return runError("write ticket key: %w", err)
	}
	return nil
}

func ticketAskCmd() *cobra.Command {
	var cfg replayer.Config
	var lane string
	var check laneCheck
	cmd := &cobra.Command{
		Use:   "ask --to HOST:PORT --lane COLOUR --ticket-key FILE",
		Short: "Ask a target whether it is a lane, as a replay does, and send nothing",
		Long: `Asks every address of the target for a lane ticket and checks it. Exit code 0 when the target is the lane, 1
when it is not. The ticket is printed too: it can be read, and handed on until it expires.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Lane = traffic.Color(lane)
			if err := check.apply(&cfg); err != nil {
				return err
			}
			text, target, err := replayer.Confirm(cmd.Context(), cfg)
			var no *replayer.TargetError
			switch {
			case errors.As(err, &no):
				return runError("%w", err)
			case replayer.ErrNoKeys(err):
				return usageError("%w; name its mesh configuration with --mesh or its public key with --ticket-key", err)
			case err != nil:
				return notStarted(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "lane %s: %s\n%s\n", cfg.Lane, &target, text)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.To, "to", "", "the target: HOST:PORT, http://HOST, https://HOST or unix:PATH")
	f.StringVar(&lane, "lane", "", "the lane it should be")
	check.flags(f, &cfg)
	_ = cmd.MarkFlagRequired("to")   // the flag exists
	_ = cmd.MarkFlagRequired("lane") // the flag exists
	return cmd
}
