package clickhouse

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/internal/chserver/chtest"
)

var theSchema = &schema{migrations: migrations, window: dedupWindow}

// Many recorders start at once on an empty server, and later on one whose schema is old: each step is taken
// once, in its order, and nobody goes on before all are.
func TestMigrationsRunOnce(t *testing.T) {
	t.Parallel()
	s := chtest.Start(t)
	a := must(t, "clickhouse://"+s.Addr+"/lab")
	steps := append([][]string(nil), migrations...)
	f := func(newest int) {
		t.Helper()
		var group errgroup.Group
		for i := range 6 {
			group.Go(func() error {
				f, err := a.fleet(t.Context())
				if err != nil {
					return err
				}
				defer f.close()
				s := &schema{migrations: steps, window: dedupWindow, owner: fmt.Sprint("owner", i)}
				for {
					err := s.migrate(t.Context(), f)
					if !errors.Is(err, errMigrating) {
						return err
					}
					require.True(t, passes(err))
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		require.NoError(t, group.Wait())
		db := fleetOf(t, a).dbs[0]
		v, err := version(t.Context(), db, a, newest)
		require.NoError(t, err)
		require.Equal(t, uint32(newest), v)
		for v := len(migrations) + 1; v <= newest; v++ {
			var n uint64
			require.NoError(t, db.QueryRow(t.Context(), "SELECT count() FROM lab.step WHERE v = ?", v).Scan(&n))
			require.Equal(t, uint64(1), n, "step %d", v)
		}
		left, err := hasTable(t.Context(), db, a, lockTable)
		require.NoError(t, err)
		require.False(t, left)
	}
	f(len(steps))
	step := func(v int) string {
		return fmt.Sprintf("INSERT INTO {db}.step SELECT %d FROM system.one WHERE sleep(0.05) = 0", v)
	}
	n := len(steps)
	steps = append(steps, []string{"CREATE TABLE IF NOT EXISTS {db}.step (v UInt32) ENGINE = MergeTree ORDER BY v", step(n + 1)}, []string{step(n + 2)})
	f(n + 2)
}

// A recorder that dies in the middle of a migration holds up the others for as long as a minute, and itself
// not at all.
func TestAMigrationThatWasCutOff(t *testing.T) {
	s := chtest.Start(t)
	a := must(t, "clickhouse://"+s.Addr+"/lab")
	f := fleetOf(t, a)
	require.NoError(t, f.dbs[0].Exec(t.Context(), "CREATE DATABASE lab"))
	lock := "CREATE TABLE lab.migrating (version UInt32) ENGINE = TinyLog COMMENT 'me'"
	require.NoError(t, f.dbs[0].Exec(t.Context(), lock))
	other := &schema{migrations: migrations, window: dedupWindow, owner: "you"}
	require.ErrorIs(t, other.migrate(t.Context(), f), errMigrating)
	require.ErrorIs(t, other.migrate(t.Context(), f), errMigrating)
	mine := &schema{migrations: migrations, window: dedupWindow, owner: "me"}
	require.NoError(t, mine.migrate(t.Context(), f))
	require.NoError(t, other.migrate(t.Context(), f))

	require.NoError(t, f.dbs[0].Exec(t.Context(), "DROP DATABASE lab SYNC"))
	require.NoError(t, f.dbs[0].Exec(t.Context(), "CREATE DATABASE lab"))
	require.NoError(t, f.dbs[0].Exec(t.Context(), lock))
	old := time.Now().Add(-2 * lockStale * time.Second) // the server takes the age from the file
	files, err := filepath.Glob(filepath.Join(s.Data, "metadata", "lab", lockTable+".sql"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Chtimes(files[0], old, old))
	require.ErrorIs(t, other.migrate(t.Context(), f), errMigrating) // it has removed the lock
	require.NoError(t, other.migrate(t.Context(), f))
}
