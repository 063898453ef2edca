package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

const (
	recorderEnv = "REDLANE_TEST_RECORDER"
	fullEnv     = "REDLANE_CHAOS" // exchanges of the full test, see make chaos-record
)

// A job is what a recorder that is going to be killed has to do: record and upload what is not on its tape.
type job struct {
	To, Tape  string
	Exchanges int
	Dedup     bool
	Seed      uint64
}

// An endless list of exchanges that each say which they are.
func (j *job) exchange(i int) traffic.Exchange {
	return traffic.Exchange{ID: uint64(i), Session: uint64(i % 1000), Seq: uint64(i / 1000), Start: t0 + int64(i)*1000, Src: "a", Dst: "b", Weight: 1,
		Request: traffic.Message{Method: []byte("GET"), Target: fmt.Appendf(nil, "/%d?%d", i, uint64(i)*j.Seed)}, Response: traffic.Message{Status: 200}}
}

// recordUntilKilled is the recorder's process: a source at a steady rate, tape, uploader. The first answer for
// every fifth frame gets lost.
func recordUntilKilled() {
	var j job
	err := json.Unmarshal([]byte(os.Getenv(recorderEnv)), &j)
	if err == nil {
		err = j.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (j *job) run() error {
	src := &rest{job: j, have: make([]bool, j.Exchanges), began: time.Now()}
	rec, err := recorder.New(recorder.Config{To: j.Tape, Wait: true, Tape: tape.Config{Codec: tape.S2}}) // which cuts off a torn end
	if err != nil {
		return err
	}
	if err := src.skipDurable(); err != nil {
		return err
	}
	u, err := New(Config{To: j.To, Writer: rec.Tape(), Seed: j.Seed, Drain: 5 * time.Minute})
	if err != nil {
		return err
	}
	u.knobs.rows = 1
	if !j.Dedup {
		u.knobs.window, u.knobs.check = "0", false
	}
	var lost sync.Map // first blocks of frames
	u.knobs.stored = func(fr *frame) error {
		time.Sleep(10 * time.Millisecond) // so that a kill finds it here
		if _, again := lost.LoadOrStore(fr.from, true); fr.from%5 == 3 && !again {
			return fmt.Errorf("thrown away: %w", io.ErrUnexpectedEOF)
		}
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	recorded, uploaded := make(chan error, 1), make(chan error, 1)
	go func() { recorded <- rec.Run(ctx) }()
	go func() { uploaded <- u.Run(ctx) }()
	_, err = recorder.Import(ctx, src, rec.Tap())
	stop()
	return errors.Join(err, <-recorded, <-uploaded)
}

// rest yields the exchanges that are not on the tape yet, 50 in 2 ms.
type rest struct {
	*job
	have  []bool
	next  int
	began time.Time
	sent  int
}

func (r *rest) skipDurable() error {
	f, err := tape.Open(r.Tape)
	if err != nil {
		return err
	}
	defer f.Close()
	for x := new(traffic.Exchange); ; {
		err := f.Next(context.Background(), x)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.have[x.ID] = true
	}
}

func (r *rest) Next(_ context.Context, x *traffic.Exchange) error {
	for r.next < r.Exchanges && r.have[r.next] {
		r.next++
	}
	if r.next == r.Exchanges {
		return io.EOF
	}
	if r.sent%50 == 0 {
		time.Sleep(time.Until(r.began.Add(time.Duration(r.sent) * 40 * time.Microsecond)))
	}
	*x = r.exchange(r.next)
	r.next++
	r.sent++
	return nil
}

func (*rest) Close() error { return nil }

// Recorder, ClickHouse or both are killed at random and answers are lost; every exchange is stored once, and
// says what it should. Without the store's memory of tokens, the control, the same goes wrong: the test can fail.
func TestExactlyOnceWhateverDies(t *testing.T) {
	exchanges, kills := 60_000, 9
	if text := os.Getenv(fullEnv); text != "" {
		var err error
		exchanges, err = strconv.Atoi(text)
		require.NoError(t, err)
		kills = 30
	} else {
		t.Parallel()
	}
	seed := uint64(time.Now().UnixNano())
	f := func(exchanges, kills int, dedup bool) (count, unique uint64) {
		t.Helper()
		s := chtest.Start(t)
		j := job{To: "clickhouse://" + s.Addr + "/lab?recording=exactly", Tape: filepath.Join(t.TempDir(), "tape"), Exchanges: exchanges, Dedup: dedup, Seed: seed}
		began := time.Now()
		kinds := killAtRandom(t, s, &j, rand.New(rand.NewPCG(seed, 2)), kills)
		fl := fleetOf(t, must(t, j.To))
		require.NoError(t, fl.dbs[0].QueryRow(t.Context(), "SELECT count(), uniqExact(id) FROM lab.exchange WHERE rec = ?", recOf("exactly")).Scan(&count, &unique))
		t.Logf("seed %d, window kept %v, %s: killed recorder %d, ClickHouse %d, both %d times: count %d, unique %d", seed, dedup, time.Since(began).Round(time.Millisecond), kinds[0], kinds[1], kinds[2], count, unique)
		if dedup {
			j.requireStored(t)
		}
		return count, unique
	}
	count, unique := f(exchanges, kills, true)
	require.Equal(t, uint64(exchanges), count)
	require.Equal(t, uint64(exchanges), unique)
	count, unique = f(30_000, 3, false)
	require.Greater(t, count, uint64(30_000), "the control found no duplicates: this test proves nothing")
	require.Equal(t, uint64(30_000), unique)
}

// requireStored reads everything back: each exchange, in order, as it was made.
func (j *job) requireStored(t *testing.T) {
	src, err := Open(t.Context(), j.To, "")
	require.NoError(t, err)
	defer src.Close()
	var x traffic.Exchange
	for i := range j.Exchanges {
		require.NoError(t, src.Next(t.Context(), &x))
		if want := j.exchange(i); x.ID != uint64(i) || string(x.Request.Target) != string(want.Request.Target) {
			t.Fatalf("exchange %d is %d %s, want %s", i, x.ID, x.Request.Target, want.Request.Target)
		}
	}
	require.ErrorIs(t, src.Next(t.Context(), &x), io.EOF)
}

// killAtRandom runs the job until it is done. On the way it kills, at moments spread over it by chance: the
// recorder, ClickHouse, or both at once.
func killAtRandom(t *testing.T, s *chtest.Server, j *job, r *rand.Rand, kills int) (kinds [3]int) {
	cmd, done := j.start(t)
	gap := uint64(j.Exchanges / (kills + 2))
	pause := func() { time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond) }
	for end := time.Now().Add(8 * time.Minute); time.Now().Before(end); {
		select {
		case err := <-done:
			require.Equal(t, kills, kinds[0]+kinds[1]+kinds[2], "it was over too soon: %v", err)
			if j.Dedup {
				require.NoError(t, err, "the recorder gave up")
			}
			return kinds // the control notices at its end that the ledger does not balance
		case <-time.After(2 * time.Millisecond):
		}
		n := kinds[0] + kinds[1] + kinds[2]
		if n == kills || j.stored() < gap*uint64(n+1)-r.Uint64N(gap/2) {
			continue
		}
		kind := (n + int(j.Seed)) % 3
		if kind != 1 {
			_ = cmd.Process.Kill()
		}
		if kind != 0 {
			s.Kill()
			pause()
			s.Restart()
		}
		if kind != 1 {
			<-done
			pause()
			cmd, done = j.start(t)
		}
		kinds[kind]++
	}
	_ = cmd.Process.Kill()
	<-done
	t.Fatal("not done after eight minutes")
	return kinds
}

func (j *job) start(t *testing.T) (*exec.Cmd, chan error) {
	b, err := json.Marshal(j)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), recorderEnv+"="+string(b))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return cmd, done
}

// stored is how many exchanges the cursor beside the tape has acknowledged.
func (j *job) stored() uint64 {
	cursors, _ := filepath.Glob(filepath.Join(j.Tape, "clickhouse-????????????????.cursor"))
	if len(cursors) == 0 {
		return 0
	}
	var c cursor
	b, _ := os.ReadFile(cursors[0])
	_ = json.Unmarshal(b, &c)
	return c.Exchanges
}

func fleetOf(t testing.TB, a Address) *fleet {
	f, err := a.fleet(t.Context())
	require.NoError(t, err)
	t.Cleanup(f.close)
	return f
}

func must(t testing.TB, url string) Address {
	a, err := ParseURL(url)
	require.NoError(t, err)
	return a
}
