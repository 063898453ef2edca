package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
	"github.com/stretchr/testify/require"
)

const smallDiskEnv = "REDLANE_RECORD_ONTO_SMALL_DISK"

// recordOntoSmallDisk is the child of TestFullDisk: no file of this process may grow past 200 kB, which to
// the writer is a disk that fills up in the middle of a write. It prints its books.
func recordOntoSmallDisk(dir string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 200_000, Max: 200_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fail(err)
	}
	r, err := New(Config{To: dir, FlushEvery: time.Millisecond, Tape: tape.Config{Codec: tape.None, SyncEvery: time.Millisecond}})
	if err != nil {
		fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	go func() {
		<-r.Failed()
		for seq := range uint64(100) { // traffic goes on
			pass(r.Filter(), exchange(2, seq), "a", "b")
		}
		cancel()
	}()
	for seq := uint64(0); r.Err() == nil && seq < 1<<20; seq++ {
		pass(r.Filter(), exchange(1, seq), strings.Repeat("q", 300), strings.Repeat("p", 300))
		if seq%100 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	err = <-done
	json.NewEncoder(os.Stdout).Encode(map[string]any{"books": r.Ledger(), "error": fmt.Sprint(err)})
	os.Exit(0)
}

// TestFullDisk: what was durable when the disk filled up stays readable, the rest is counted under its name,
// and the cause is told.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tape")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), smallDiskEnv+"="+dir)
	out, err := cmd.Output()
	require.NoError(t, err, string(out))
	var got struct {
		Books traffic.Ledger
		Error string
	}
	require.NoError(t, json.NewDecoder(bytes.NewReader(out)).Decode(&got), string(out))
	require.NoError(t, got.Books.Balance())
	require.GreaterOrEqual(t, got.Books.Dropped["disk"], uint64(100))
	require.Greater(t, got.Books.Passed, uint64(100))
	require.Contains(t, got.Error, "file too large")
	require.Contains(t, got.Error, "offset")

	rep, err := tape.Verify(dir)
	require.NoError(t, err)
	require.Empty(t, rep.Problems)
	require.Empty(t, rep.Cuts)
	require.Equal(t, got.Books.Passed, rep.Exchanges)
	s, err := tape.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, got.Books.String(), s.Meta.Runs[0].Ledger.String())
	require.Contains(t, s.Meta.Runs[0].Error, "file too large")
	n := uint64(0)
	read(t, dir, func(x *traffic.Exchange) {
		require.Equal(t, n, x.Seq)
		n++
	})
}
