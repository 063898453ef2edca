package tape

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const childEnv = "REDLANE_TAPE_WRITE_UNTIL_KILLED"

// writeUntilKilled is the child of TestKill: it writes exchange n at place n and prints what is durable.
func writeUntilKilled() {
	w, err := Create(os.Getenv(childEnv), Config{Codec: S2, SegmentBytes: 300_000, SyncEvery: 2 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(w.Durable())
	go func() {
		for {
			<-w.Changed()
			fmt.Println(w.Durable())
		}
	}()
	end := time.Now().Add(10 * time.Second)
	for n := w.Durable(); time.Now().Before(end); n++ {
		x := strange(rand.New(rand.NewPCG(n, 0)))
		if err := w.Append(x); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if n%16 == 0 {
			w.Flush()
		}
	}
	os.Exit(1)
}

// TestKill kills a writer at a random moment, again and again on one tape. What it had called durable must
// be there, and everything that is there must be right.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tape")
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	at := uint64(0)
	for round := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		require.True(t, lines.Scan())
		started, err := strconv.ParseUint(lines.Text(), 10, 64)
		require.NoError(t, err, lines.Text())
		require.Equal(t, at, started, "the child goes on after what the last one left")
		durable := started
		for left := 1 + r.IntN(40); lines.Scan(); left-- {
			durable, err = strconv.ParseUint(lines.Text(), 10, 64)
			require.NoError(t, err, lines.Text())
			if left == 0 {
				time.Sleep(time.Duration(r.IntN(5000)) * time.Microsecond)
				require.NoError(t, cmd.Process.Kill())
			}
		}
		cmd.Wait()

		rep, err := Verify(dir)
		require.NoError(t, err)
		require.GreaterOrEqual(t, rep.Exchanges, durable, "round %d, seed %d", round, seed)
		require.Greater(t, durable, started, "the child was killed before it did anything")
		require.Empty(t, rep.Problems)
		require.Equal(t, round+1, rep.CutOff)
		at = rep.Exchanges
		t.Logf("round %d: %d durable when killed; %s", round, durable, rep)
	}
	f, err := Follow(dir, 0)
	require.NoError(t, err)
	for n, x := range followAll(t, f) {
		require.Equal(t, clone(strange(rand.New(rand.NewPCG(uint64(n), 0)))), x)
	}
}
