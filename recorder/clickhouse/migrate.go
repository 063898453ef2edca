package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/redlane/redlane/internal/chconn"
)

// schema is what migrate makes, and how.
type schema struct {
	migrations [][]string
	window     string // of deduplication, in inserts
	owner      string // of the lock, should its own earlier attempt have left it
}

// migrate brings f's databases to the newest version of s, from nothing if need be. Several may do so at
// once: one of them does the work and the others fail with errMigrating, to come again.
func (s *schema) migrate(ctx context.Context, f *fleet) error {
	if f.keeper { // which carries every statement to every server
		return f.nodes[0].fail(s.migrateOne(ctx, f, f.nodes[0], f.dbs[0]))
	}
	return f.each(func(node Address, db driver.Conn) error { return s.migrateOne(ctx, f, node, db) })
}

func (s *schema) migrateOne(ctx context.Context, f *fleet, a Address, db driver.Conn) error {
	have, err := version(ctx, db, a, len(s.migrations))
	if err != nil {
		return err
	}
	if have < uint32(len(s.migrations)) {
		if have == 0 {
			if err := s.createDatabase(ctx, f, db); err != nil {
				return err
			}
		}
		if err := s.climb(ctx, f, a, db); err != nil {
			return err
		}
	}
	if f.Cluster == "" {
		return nil
	}
	exists, err := hasTable(ctx, db, a, "exchange_all")
	if err == nil && !exists {
		err = db.Exec(ctx, f.fillIn(allTable, s.window))
	}
	return err
}

func (s *schema) createDatabase(ctx context.Context, f *fleet, db driver.Conn) error {
	var n uint64
	if err := db.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", f.Database).Scan(&n); err != nil {
		return err
	}
	if n == 0 { // asked first, because a user may have a database and not the right to make one
		if err := db.Exec(ctx, f.createDatabase()); err != nil {
			return err
		}
	}
	return db.Exec(ctx, f.fillIn(versionTable, s.window))
}

// errMigrating is the server's state, not an error: passes knows it.
var errMigrating = errors.New("another redlane is bringing the schema up to date")

// A lock is a table: making one is the only thing that a server does for one client and refuses to the next.
// It is left behind by a process that died; statements may run twice, so that taking it over is safe.
const (
	lockTable  = "migrating"
	lockStale  = 60 // seconds, by the server's clock: a step takes milliseconds
	codeExists = 57
)

// climb applies what is missing, alone.
func (s *schema) climb(ctx context.Context, f *fleet, a Address, db driver.Conn) (err error) {
	switch err := db.Exec(ctx, "CREATE TABLE "+a.table(lockTable)+" (version UInt32) ENGINE = TinyLog COMMENT '"+s.owner+"'"); {
	case chconn.Code(err) == codeExists:
		if ours, err := s.breakLock(ctx, a, db); !ours {
			return err
		}
	case err != nil:
		return err
	}
	defer func() {
		// Also after ctx has ended: others wait for it.
		drop := db.Exec(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS "+a.table(lockTable)+" SYNC")
		err = errors.Join(err, drop)
	}()
	have, err := version(ctx, db, a, len(s.migrations)) // again: the one before us may have just finished
	if err != nil {
		return err
	}
	if f.Cluster != "" && have < uint32(len(s.migrations)) { // made again with the columns of the new version
		if err := db.Exec(ctx, f.fillIn("DROP TABLE IF EXISTS {db}.exchange_all{on} SYNC", s.window)); err != nil {
			return err
		}
	}
	for v := int(have); v < len(s.migrations); v++ {
		for _, text := range s.migrations[v] {
			if err := db.Exec(ctx, f.fillIn(text, s.window)); err != nil {
				return fmt.Errorf("schema version %d: %w", v+1, err)
			}
		}
		if err := db.Exec(ctx, "INSERT INTO "+a.table("schema_version")+" (version) VALUES (?)", v+1); err != nil {
			return err
		}
	}
	return nil
}

// breakLock reports whether the lock is ours, from an attempt whose answer was lost. That of a process that
// is gone it removes. In any other case another attempt is worth while.
func (s *schema) breakLock(ctx context.Context, a Address, db driver.Conn) (ours bool, err error) {
	var age int64
	var owner string
	err = db.QueryRow(ctx, "SELECT max(dateDiff('second', metadata_modification_time, now())), max(comment) FROM system.tables WHERE database = ? AND name = ?", a.Database, lockTable).Scan(&age, &owner)
	switch {
	case err != nil:
		return false, err
	case owner == s.owner && owner != "":
		return true, nil
	case age > lockStale:
		if err := db.Exec(ctx, "DROP TABLE IF EXISTS "+a.table(lockTable)+" SYNC"); err != nil {
			return false, err
		}
	}
	return false, errMigrating
}

// version is the version of the schema in a's database; 0 when there is none. One above newest is an error.
func version(ctx context.Context, db driver.Conn, a Address, newest int) (v uint32, err error) {
	exists, err := hasTable(ctx, db, a, "schema_version")
	if err != nil || !exists {
		return 0, err
	}
	if err := db.QueryRow(ctx, "SELECT max(version) FROM "+a.table("schema_version")).Scan(&v); err != nil {
		return 0, err
	}
	if v > uint32(newest) {
		return 0, fmt.Errorf("the schema has version %d and this redlane knows %d: use a newer redlane", v, newest)
	}
	return v, nil
}

func hasTable(ctx context.Context, db driver.Conn, a Address, name string) (bool, error) {
	var n uint64
	err := db.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = ?", a.Database, name).Scan(&n)
	return n > 0, err
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
