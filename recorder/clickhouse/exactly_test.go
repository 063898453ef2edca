package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

const uploaderEnv = "REDLANE_TEST_UPLOADER"

// A job is what a process that is going to be killed has to do.
type job struct {
	To, Tape string
	Dedup    bool
	Seed     uint64
}

// uploadUntilKilled is the uploader's process: the first answer for every fifth frame gets lost.
func uploadUntilKilled() {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv(uploaderEnv)), &j); err != nil {
		panic(err)
	}
	u, err := New(Config{To: j.To, Tape: j.Tape, Seed: j.Seed})
	if err == nil {
		u.knobs.rows = 1
		if !j.Dedup {
			u.knobs.window, u.knobs.check = "0", false
		}
		lost := make(map[uint64]bool)
		u.knobs.stored = func(fr *frame) error {
			time.Sleep(10 * time.Millisecond) // so that a kill finds it here
			if fr.from%5 == 3 && !lost[fr.from] {
				lost[fr.from] = true
				return fmt.Errorf("thrown away: %w", io.ErrUnexpectedEOF)
			}
			return nil
		}
		err = u.Run(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Engine and uploader are killed at random and answers are lost; every exchange is stored once. Without
// the store's memory of tokens, the control, the same goes wrong: the test can fail.
func TestExactlyOnceWhateverDies(t *testing.T) {
	t.Parallel()
	const rows = 45_000
	seed := uint64(time.Now().UnixNano())
	xs := make([]traffic.Exchange, rows)
	for i := range xs {
		xs[i] = traffic.Exchange{ID: uint64(i), Session: uint64(i % 1000), Seq: uint64(i / 1000), Start: t0 + int64(i)*1000, Src: "a", Dst: "b", Weight: 1,
			Request: traffic.Message{Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d?%d", i, uint64(i)*seed)}, Response: traffic.Message{Status: 200}}
	}
	f := func(dedup bool) (count, unique uint64) {
		t.Helper()
		s := chtest.Start(t)
		url := "clickhouse://" + s.Addr + "/lab?recording=exactly"
		j := job{To: url, Tape: tapeOf(t, xs, tape.Config{}), Dedup: dedup, Seed: seed}
		engines, uploaders := killAtRandom(t, s, j, rand.New(rand.NewPCG(seed, 2)))
		db, err := must(t, url).open()
		require.NoError(t, err)
		defer db.Close()
		require.NoError(t, db.QueryRow(t.Context(), "SELECT count(), uniqExact(id) FROM lab.exchange WHERE rec = ?", recOf("exactly")).Scan(&count, &unique))
		require.Greater(t, engines, 1)
		require.NotZero(t, uploaders)
		t.Logf("seed %d, window kept %v: %d kills of the engine, %d of the uploader: count %d, unique %d", seed, dedup, engines, uploaders, count, unique)
		return count, unique
	}
	count, unique := f(true)
	require.Equal(t, uint64(rows), count)
	require.Equal(t, uint64(rows), unique)
	count, unique = f(false)
	require.Greater(t, count, uint64(rows), "the control found no duplicates: this test proves nothing")
	require.Equal(t, uint64(rows), unique)
}

// killAtRandom runs the job until it is done. Each time it has come two frames further, and a random
// moment later, it kills the engine or the uploader, eight times in all.
func killAtRandom(t *testing.T, s *chtest.Server, j job, r *rand.Rand) (engines, uploaders int) {
	b, err := json.Marshal(j)
	require.NoError(t, err)
	start := func() (*exec.Cmd, chan error) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), uploaderEnv+"="+string(b))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		cmd.Stdout = os.Stderr
		require.NoError(t, cmd.Start())
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		return cmd, done
	}
	cmd, done := start()
	seen := uint64(0)
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		select {
		case err := <-done:
			if j.Dedup {
				require.NoError(t, err, "the uploader gave up")
			}
			return engines, uploaders // the control notices at its end that the ledger does not balance
		case <-time.After(5 * time.Millisecond):
		}
		now := progress(j.Tape)
		if engines+uploaders >= 8 || now < seen+2 {
			continue
		}
		time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
		seen = now
		switch {
		case (engines+uploaders)%3 == 2:
			_ = cmd.Process.Kill()
			if err := <-done; err == nil {
				return engines, uploaders
			}
			uploaders++
			cmd, done = start()
		case s.KillEngine():
			engines++
		}
	}
	_ = cmd.Process.Kill()
	<-done
	t.Fatal("not done after two minutes")
	return 0, 0
}

// progress is the block that the cursor beside the tape stands at.
func progress(dir string) uint64 {
	cursors, _ := filepath.Glob(filepath.Join(dir, "clickhouse-????????????????.cursor"))
	if len(cursors) == 0 {
		return 0
	}
	var c cursor
	b, _ := os.ReadFile(cursors[0])
	_ = json.Unmarshal(b, &c)
	return c.Next
}

func must(t testing.TB, url string) Address {
	a, err := ParseURL(url)
	require.NoError(t, err)
	return a
}
