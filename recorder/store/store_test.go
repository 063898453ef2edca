package store

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/redlane/redlane/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheckFindsMistakesWithoutOpening(t *testing.T) {
	require.NoError(t, Check("tape://out/eve"))
	require.NoError(t, Check("out/eve"))
	require.NoError(t, Check("clickhouse://127.0.0.1:9000/lab?recording=eve"))
	require.ErrorContains(t, Check("clickhouse://"), "no host")
	require.ErrorContains(t, Check("clickhouse://h/lab?recrding=eve"), `no setting "recrding"`)
	require.Error(t, Check(""))
}

func TestRecordingIsReadBackAndVerified(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "eve")
	rec, err := New(Config{To: "tape://" + dir, Services: []string{"web"}})
	require.NoError(t, err)
	require.Equal(t, dir, rec.Dir())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()
	tap := rec.Filter()
	for i := range 100 {
		x := &traffic.Exchange{ID: uint64(i), Session: 7, Seq: uint64(i), Start: int64(i + 1), Dst: "web", Weight: 1}
		x.Request.Method, x.Request.Target, x.Response.Status = []byte("GET"), []byte("/"), 200
		if i%10 == 9 {
			x.Dst = "other" // not recorded, and not in the books
		}
		tap.Request(x)
		tap.Response(x)
	}
	cancel()
	require.NoError(t, <-done)
	ledgers := rec.Ledgers()
	require.Len(t, ledgers, 1)
	require.NoError(t, ledgers[0].Balance())
	require.Equal(t, uint64(90), ledgers[0].Accepted)
	stored, err := rec.Verify(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(90), stored)

	src, err := Open(t.Context(), "tape://"+dir)
	require.NoError(t, err)
	defer src.Close()
	n, x := 0, new(traffic.Exchange)
	for ; ; n++ {
		if err = src.Next(t.Context(), x); err != nil {
			break
		}
		require.Equal(t, "web", x.Dst)
	}
	require.True(t, errors.Is(err, io.EOF), "%v", err)
	require.Equal(t, 90, n)
}

// A server that cannot be reached is an error of the upload; the tape that feeds it is whole.
func TestUnreachableClickHouseLeavesTheTape(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	rec, err := New(Config{To: "clickhouse://127.0.0.1:1/lab?recording=eve", Spool: dir, Drain: 1})
	require.NoError(t, err)
	x := &traffic.Exchange{ID: 1, Start: 1, Dst: "web", Weight: 1}
	rec.Filter().Request(x)
	rec.Filter().Response(x)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, rec.Run(over), "127.0.0.1:1")
	for _, l := range rec.Ledgers() {
		require.NoError(t, l.Balance())
	}
	src, err := Open(t.Context(), dir)
	require.NoError(t, err)
	defer src.Close()
	require.NoError(t, src.Next(t.Context(), x))

	_, err = New(Config{To: "clickhouse://127.0.0.1:1/lab"})
	require.ErrorContains(t, err, "no folder given")
}

func TestRecordingThatNeverRunsIsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "eve")
	rec, err := New(Config{To: dir})
	require.NoError(t, err)
	require.NoError(t, rec.Close())
	again, err := New(Config{To: dir}) // not held by the first any more
	require.NoError(t, err)
	require.NoError(t, again.Close())
}
