package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/recorder/tape"
)

// room is how much of the traffic a recording keeps, and for how long.
type room struct {
	bodies, quota conf.Bytes
	keep          []string
}

func (r *room) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.TextVar(&r.bodies, "body-limit", conf.Bytes(16<<20), "longest body kept whole, up to 127MiB; longer ones are cut")
	f.TextVar(&r.quota, "quota", conf.Bytes(0), "most bytes on disk, such as 10GiB; 0 is no limit. What ClickHouse has is deleted first, then exchanges are dropped")
	f.StringSliceVar(&r.keep, "keep", nil, "how much of a tape is kept, such as 24h, 10GiB or both; the oldest goes first")
}

// set puts what was asked for into cfg.
func (r *room) set(cfg *store.Config) error {
	keep, err := parseKeep(r.keep)
	if err == nil && len(r.keep) > 0 && strings.HasPrefix(cfg.To, "clickhouse://") {
		err = usageError("--keep: a tape that feeds ClickHouse is kept until it is stored there; give it a --quota")
	}
	cfg.Recorder.BodyLimit, cfg.Recorder.Tape.Quota, cfg.Recorder.Tape.Keep = int64(r.bodies), int64(r.quota), keep
	return err
}

// parseKeep reads ages and sizes; of several of a kind the last counts.
func parseKeep(texts []string) (k tape.Keep, err error) {
	for _, text := range texts {
		text = strings.TrimSpace(text)
		var size conf.Bytes
		if age, err := time.ParseDuration(text); err == nil && age > 0 {
			k.Age = age
		} else if err := size.UnmarshalText([]byte(text)); err == nil && size > 0 {
			k.Bytes = int64(size)
		} else {
			return k, usageError("--keep %q: want an age such as 24h, or a size such as 10GiB", text)
		}
	}
	return k, nil
}
