package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/replayer"
)

// A laneCheck is how a replay makes sure that its target is a lane (docs/lane-safety.md).
type laneCheck struct {
	files []string
	mesh  string
}

// flags are those of everybody who asks a target.
func (c *laneCheck) flags(f *pflag.FlagSet, cfg *replayer.Config) {
	f.StringArrayVar(&c.files, "ticket-key", nil, "file with the public key, or keys, that the target's lane tickets are signed with")
	f.StringVar(&c.mesh, "mesh", "", "mesh configuration of the target, for the key of its tickets; in place of --ticket-key")
	f.StringVar(&cfg.Service, "service", "", "service that the target must be; empty: any")
	f.BoolVar(&cfg.StrictLane, "strict-lane", false, "refuse a lane whose rules may let its traffic into the baseline")
}

// replayFlags are those of a replay.
func (c *laneCheck) replayFlags(f *pflag.FlagSet, cfg *replayer.Config) {
	c.flags(f, cfg)
	f.BoolVar(&cfg.UnsafeTarget, "unsafe-target", false, "send without asking the target for a lane ticket: to a server without redlane")
	f.StringVar(&cfg.RunID, "run-id", "", "value of the x-stress header of every request; empty: the time and six characters of chance")
}

// apply reads the keys.
func (c *laneCheck) apply(cfg *replayer.Config) error {
	switch {
	case cfg.UnsafeTarget && (len(c.files) > 0 || c.mesh != ""):
		return usageError("--unsafe-target: nothing is asked, so --ticket-key and --mesh mean nothing with it")
	case cfg.UnsafeTarget && (cfg.StrictLane || cfg.Service != ""):
		return usageError("--unsafe-target: nothing is asked, so --strict-lane and --service mean nothing with it")
	}
	if cfg.RunID == "" {
		cfg.RunID = time.Now().UTC().Format("20060102T150405") + "-" + strings.ToLower(rand.Text()[:6])
	}
	keys := ticket.Keys{}
	for _, name := range c.files {
		data, err := os.ReadFile(name)
		if err != nil {
			return usageError("--ticket-key: %w", err)
		}
		more, err := ticket.ParsePublic(data)
		if err != nil {
			return usageError("--ticket-key: %s: %w", name, err)
		}
		keys.Add(more)
	}
	if c.mesh != "" {
		m, err := mesh.Load(c.mesh)
		if err != nil {
			return usageError("--mesh: %w", err)
		}
		more, err := m.TicketKeys()
		if errors.Is(err, mesh.ErrNoTickets) {
			return usageError("--mesh: %s: %w; see docs/lane-safety.md", c.mesh, err)
		}
		if err != nil {
			return usageError("--mesh: %w", err)
		}
		keys.Add(more)
	}
	cfg.TicketKeys = keys
	return nil
}

// unconfirmed turns the refusal to send to a target into the program's error; nil for any other error.
func unconfirmed(err error) error {
	var no *replayer.TargetError
	switch {
	case replayer.ErrNoKeys(err):
		return usageError("%w; name its mesh configuration with --mesh or its public key with --ticket-key, or send unchecked with --unsafe-target", err)
	case errors.As(err, &no):
		return runError("%w; nothing was sent (docs/lane-safety.md)", err)
	}
	return nil
}

// stopped is the program's error for a run that its target stopped.
func stopped(r *replayer.Result) error {
	if r.Stopped == "" {
		return nil
	}
	return &exitError{exitStopped, fmt.Errorf("stopped: %s", r.Stopped)}
}
