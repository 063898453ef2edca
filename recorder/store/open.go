package store

import (
	"context"
	"strings"

	"github.com/redlane/redlane/recorder/clickhouse"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// Open opens a recording for reading. name is tape://DIR, DIR, a segment file, or
// clickhouse://HOST:PORT/DATABASE?recording=NAME.
func Open(ctx context.Context, name string) (traffic.Source, error) {
	if inClickHouse(name) {
		return clickhouse.Open(ctx, name, "")
	}
	return tape.Open(name)
}

// Check finds what is wrong with name without opening anything.
func Check(name string) error {
	if inClickHouse(name) {
		_, err := clickhouse.ParseURL(name)
		return err
	}
	_, err := tape.Path(name)
	return err
}

func inClickHouse(name string) bool { return strings.HasPrefix(name, "clickhouse://") }
