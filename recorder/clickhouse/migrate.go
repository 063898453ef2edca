package clickhouse

import (
	"context"
	"fmt"
	"regexp"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// migrate brings a's database to schemaVersion, from nothing if need be. Several may do so at once.
func migrate(ctx context.Context, db driver.Conn, a Address, window string) error {
	have, err := version(ctx, db, a)
	if err != nil {
		return err
	}
	if have == 0 {
		if err := createDatabase(ctx, db, a); err != nil {
			return err
		}
	}
	for v := have; v < schemaVersion; v++ {
		for _, text := range migrations[v] {
			if err := db.Exec(ctx, statement(text, a, window)); err != nil {
				return fmt.Errorf("schema version %d: %w", v+1, err)
			}
		}
		if err := db.Exec(ctx, "INSERT INTO "+a.table("schema_version")+" (version) VALUES (?)", v+1); err != nil {
			return err
		}
	}
	return nil
}

func createDatabase(ctx context.Context, db driver.Conn, a Address) error {
	exists, err := hasDatabase(ctx, db, a)
	if err != nil {
		return err
	}
	if !exists { // asked first, because a user may have a database and not the right to make one
		if err := db.Exec(ctx, "CREATE DATABASE IF NOT EXISTS `"+a.Database+"`"); err != nil {
			return err
		}
	}
	return db.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+a.table("schema_version")+
		" (version UInt32, applied DateTime('UTC') DEFAULT now()) ENGINE = ReplacingMergeTree ORDER BY version SETTINGS fsync_after_insert = 1, fsync_part_directory = 1")
}

func hasDatabase(ctx context.Context, db driver.Conn, a Address) (bool, error) {
	var n uint64
	err := db.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", a.Database).Scan(&n)
	return n > 0, err
}

// version is the version of the schema in a's database; 0 when there is none.
func version(ctx context.Context, db driver.Conn, a Address) (v uint32, err error) {
	var tables uint64
	err = db.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = 'schema_version'", a.Database).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	if err := db.QueryRow(ctx, "SELECT max(version) FROM "+a.table("schema_version")).Scan(&v); err != nil {
		return 0, err
	}
	if v > schemaVersion {
		return 0, fmt.Errorf("the schema has version %d and this redlane knows %d: use a newer redlane", v, schemaVersion)
	}
	return v, nil
}

var windowSetting = regexp.MustCompile(`deduplication_window = [1-9]|^(Replicated|Shared)`)

// deduplicates makes sure of what exactly once stands on. A table that somebody made without the window
// would take every retry as new rows, silently.
func deduplicates(ctx context.Context, db driver.Conn, a Address) error {
	var engine string
	err := db.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = ? AND name = 'exchange'", a.Database).Scan(&engine)
	if err != nil {
		return err
	}
	if !windowSetting.MatchString(engine) {
		return fmt.Errorf("table exchange does not deduplicate inserts: ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = %s", a.table("exchange"), dedupWindow)
	}
	return nil
}
