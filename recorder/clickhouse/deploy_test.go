package clickhouse

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
)

var update = flag.Bool("update", false, "write the files of deploy/clickhouse")

const deploy = "../../deploy/clickhouse"

// What deploy/clickhouse shows is what a recorder sends.
func TestDeployedSchemaIsOurs(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		path := filepath.Join(deploy, name)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(got), "run go test ./recorder/clickhouse -run Deploy -update")
	}
	f("schema.sql", Script("redlane", ""))
	f("schema-cluster.sql", Script("redlane", "redlane"))
}

// A server on which somebody ran schema.sql is ready: nothing is left to migrate, and exchanges are taken.
func TestDeployedSchemaServes(t *testing.T) {
	s := chtest.Start(t)
	a := must(t, "clickhouse://"+s.Addr+"/redlane?recording=eve")
	db := fleetOf(t, a).dbs[0]
	for _, text := range strings.Split(strings.TrimSuffix(strings.TrimSpace(Script("redlane", "")), ";"), ";\n\n") {
		require.NoError(t, db.Exec(t.Context(), text))
	}
	v, err := version(t.Context(), db, a, len(migrations))
	require.NoError(t, err)
	require.Equal(t, uint32(schemaVersion), v)
	xs := many(rand.New(rand.NewPCG(21, 21)), 100, usual)
	store(t, Config{To: "clickhouse://" + s.Addr + "?recording=eve", Tape: tapeOf(t, xs, tape.Config{})})
	requireSame(t, inOrder(xs), readAll(t, "clickhouse://"+s.Addr+"?recording=eve"))
}

// The configuration is one that a server takes, and from which we learn shards, replicas and Keeper.
func TestDeployedClusterIsFound(t *testing.T) {
	t.Setenv("REDLANE_CLUSTER_SECRET", "x")
	t.Setenv("REDLANE_SHARD", "1")
	t.Setenv("REDLANE_REPLICA", "clickhouse-1-1")
	s := chtest.Start(t, "--config", filepath.Join(deploy, "config.d", "redlane.xml"))
	f := fleetOf(t, must(t, "clickhouse://"+s.Addr+"?cluster=redlane"))
	require.True(t, f.keeper)
	require.Len(t, f.nodes, 2)
	require.Equal(t, []string{"clickhouse-1-1:9000", "clickhouse-1-2:9000"}, f.nodes[0].Hosts)
	require.Equal(t, []string{"clickhouse-2-1:9000", "clickhouse-2-2:9000"}, f.nodes[1].Hosts)
}
