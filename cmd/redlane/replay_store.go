package main

import (
	"context"
	"errors"

	"github.com/redlane/redlane/recorder/clickhouse"
	"github.com/redlane/redlane/replayer/results"
)

// openResultStore opens the tables that a URL names. It is written like that of a recording.
func openResultStore(ctx context.Context, url, run string) (*results.Store, error) {
	a, err := clickhouse.ParseURL(url)
	switch {
	case err != nil:
		return nil, usageError("%w", err)
	case a.Recording != "" || a.Cluster != "" || a.Keep != 0:
		return nil, usageError("%s: results take no settings but secure and ca; want clickhouse://HOST:PORT/DATABASE", a)
	case len(a.Hosts) > 1:
		return nil, usageError("%s: results go to one server", a)
	}
	store, err := results.OpenStore(ctx, results.StoreConfig{
		Login: a.Login(), Database: a.Database, Run: run,
	})
	if errors.Is(err, results.ErrRunExists) {
		return nil, usageError("%w with --run-id", err)
	}
	if err != nil {
		return nil, runError("%w", err)
	}
	return store, nil
}
