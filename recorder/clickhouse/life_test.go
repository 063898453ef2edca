package clickhouse

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/chserver/chtest"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// The store is gone for three seconds while a tape is being written and followed.
func TestTheStoreIsDownInTheMiddle(t *testing.T) {
	t.Parallel()
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=eve"
	w, err := tape.Create(filepath.Join(t.TempDir(), "tape"), tape.Config{})
	require.NoError(t, err)
	u, err := New(Config{To: url, Writer: w, Ledgers: func() []traffic.Ledger { return []traffic.Ledger{{Stage: "tap", Accepted: 7, Passed: 7}} }})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- u.Run(t.Context()) }()

	xs := many(rand.New(rand.NewPCG(3, 3)), 6000, usual)
	put := func(xs []traffic.Exchange) {
		for i := range xs {
			require.NoError(t, w.Append(&xs[i]))
		}
		require.NoError(t, w.Sync())
	}
	stored := func() uint64 { l := u.Ledger(); return l.Passed }
	put(xs[:2000])
	require.Eventually(t, func() bool { return stored() == 2000 }, 10*time.Second, 5*time.Millisecond)
	r, err := Stat(t.Context(), url)
	require.NoError(t, err)
	require.False(t, r.Complete)
	s.Kill()
	put(xs[2000:4000])
	time.Sleep(3 * time.Second)
	require.Equal(t, uint64(2000), stored())
	retries, last := u.Retries()
	require.NotZero(t, retries)
	require.ErrorContains(t, last, "connection refused")
	s.Restart()
	put(xs[4000:])
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
	require.Equal(t, uint64(6000), stored())
	requireSame(t, inOrder(xs), readAll(t, url))

	r, err = Stat(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, uint64(6000), r.Exchanges)
	require.True(t, r.Complete)
	require.Equal(t, []traffic.Ledger{{Stage: "tap", Accepted: 7, Passed: 7}, {Stage: "clickhouse", Accepted: 6000, Passed: 6000}}, r.Ledgers)
	require.Equal(t, inOrder(xs)[0].Start, r.Started.UnixNano())
}

func TestWhatIsLeftStaysInTheTape(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=left"
	xs := many(rand.New(rand.NewPCG(4, 4)), 3000, usual)
	dir := tapeOf(t, xs, tape.Config{})
	u, err := New(Config{To: url, Tape: dir, Drain: 200 * time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u.knobs.rows = 500
	u.knobs.stored = func(*frame) error {
		if l := u.Ledger(); l.Passed >= 1000 {
			if s.Running() {
				s.Kill()
				cancel()
			}
			return io.ErrUnexpectedEOF // stored, but nobody will know
		}
		return nil
	}
	err = u.Run(ctx)
	require.ErrorContains(t, err, "stopped 200ms after it was told to")
	require.ErrorContains(t, err, "are left in the tape for another run")
	require.NotContains(t, err.Error(), "\n")
	l := u.Ledger()
	require.NoError(t, l.Balance())
	require.NotZero(t, l.Dropped[reasonLeft])

	s.Restart()
	u = store(t, Config{To: url, Tape: dir})
	again := u.Ledger()
	require.Equal(t, uint64(3000), l.Passed+again.Passed)
	requireSame(t, inOrder(xs), readAll(t, url))
	u = store(t, Config{To: url, Tape: dir}) // nothing is left to do
	again = u.Ledger()
	require.Zero(t, again.Accepted)
}

func TestAStopLeavesNothingThatWasDurable(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=stop"
	xs := many(rand.New(rand.NewPCG(5, 5)), 2000, usual)
	w, err := tape.Create(filepath.Join(t.TempDir(), "tape"), tape.Config{})
	require.NoError(t, err)
	for i := range xs {
		require.NoError(t, w.Append(&xs[i]))
	}
	require.NoError(t, w.Sync())
	store(t, Config{To: url + "before", Tape: tapeOf(t, xs[:1], tape.Config{})}) // making the tables takes a while of its own
	u, err := New(Config{To: url, Writer: w, Drain: 6 * time.Second})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, u.Run(ctx)) // the tape goes on, so this takes four fifths of that
	n, err := Count(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, uint64(2000), n)

	// The tape goes on under another run, and so does the recording.
	require.NoError(t, w.Close())
	w, err = tape.Create(w.Dir(), tape.Config{})
	require.NoError(t, err)
	more := many(rand.New(rand.NewPCG(6, 6)), 1000, usual)
	for i := range more {
		require.NoError(t, w.Append(&more[i]))
	}
	require.NoError(t, w.Close())
	store(t, Config{To: url, Tape: w.Dir()})
	requireSame(t, inOrder(append(xs, more...)), readAll(t, url))
}

// Recorder and Uploader have one context: when it ends, the one still flushes what the other then stores.
func TestStoppedTogetherNothingIsLeft(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=together"
	xs := many(rand.New(rand.NewPCG(16, 16)), 1000, usual)
	w, err := tape.Create(filepath.Join(t.TempDir(), "tape"), tape.Config{})
	require.NoError(t, err)
	u, err := New(Config{To: url, Writer: w})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	for i := range xs {
		if i == 500 {
			cancel()
			time.Sleep(200 * time.Millisecond)
		}
		require.NoError(t, w.Append(&xs[i]))
	}
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
	r, err := Stat(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, uint64(1000), r.Exchanges)
	require.True(t, r.Complete)
}

func TestRecordingsDoNotMix(t *testing.T) {
	s := chtest.Start(t)
	at := "clickhouse://" + s.Addr + "/lab"
	a, b := many(rand.New(rand.NewPCG(7, 7)), 1500, usual), many(rand.New(rand.NewPCG(8, 8)), 500, strange)
	tapeA, tapeB := tapeOf(t, a, tape.Config{}), tapeOf(t, b, tape.Config{})
	f := func(cfg Config, want string) {
		t.Helper()
		u, err := New(cfg)
		require.NoError(t, err)
		require.ErrorContains(t, u.Run(t.Context()), want)
	}
	list, err := List(t.Context(), at)
	require.NoError(t, err)
	require.Empty(t, list)
	store(t, Config{To: at, Recording: "a", Tape: tapeA})
	store(t, Config{To: at + "?recording=b", Tape: tapeB, Keep: time.Hour})
	requireSame(t, inOrder(a), readAll(t, at+"?recording=a"))
	requireSame(t, inOrder(b), readAll(t, at+"?recording=b"))
	list, err = List(t.Context(), at)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []string{"a", "b"}, []string{list[0].Name, list[1].Name})
	require.True(t, list[0].Expires.IsZero())
	require.WithinDuration(t, time.Now().Add(time.Hour), list[1].Expires, time.Minute)

	f(Config{To: at, Recording: "a", Tape: tapeB}, `recording "a" exists and holds another tape: choose another name, remove it, or join it`)
	store(t, Config{To: at, Recording: "a", Tape: tapeB, Join: true})
	requireSame(t, inOrder(append(a, b...)), readAll(t, at+"?recording=a"))
	r, err := Stat(t.Context(), at+"?recording=a")
	require.NoError(t, err)
	require.Equal(t, 2, r.Tapes)

	// What is removed is gone, leaves the other alone, and can be stored again though its tokens are known.
	require.NoError(t, Remove(t.Context(), at+"?recording=a", false))
	_, err = Stat(t.Context(), at+"?recording=a")
	require.EqualError(t, err, at+`: no recording "a"`)
	_, err = Open(t.Context(), at, "a")
	require.EqualError(t, err, at+`: no recording "a"`)
	requireSame(t, inOrder(b), readAll(t, at+"?recording=b"))
	store(t, Config{To: at, Recording: "a", Tape: tapeA})
	requireSame(t, inOrder(a), readAll(t, at+"?recording=a"))

	// Without its cursor nobody knows what of the tape is stored.
	cursors, err := filepath.Glob(filepath.Join(tapeA, "*.cursor"))
	require.NoError(t, err)
	for _, c := range cursors {
		require.NoError(t, os.Remove(c))
	}
	f(Config{To: at, Recording: "a", Tape: tapeA}, `this tape was stored in recording "a" before, and what was stored is not known here: remove the recording first`)
}

func TestOnlyOneUploaderPerTapeAndRecording(t *testing.T) {
	dir := tapeOf(t, many(rand.New(rand.NewPCG(9, 9)), 10, usual), tape.Config{})
	c, fresh, err := loadCursor(dir, must(t, "clickhouse://h/db?recording=x"))
	require.NoError(t, err)
	require.True(t, fresh)
	_, _, err = loadCursor(dir, must(t, "clickhouse://h/db?recording=x"))
	require.ErrorIs(t, err, errCursorHeld)
	other, _, err := loadCursor(dir, must(t, "clickhouse://h/db?recording=y"))
	require.NoError(t, err)
	other.close()
	c.Next, c.Flight = 7, []frozenRange{{Instance: "ab", From: 7, To: 9, Rows: 100}}
	require.NoError(t, c.save())
	c.close()
	c, fresh, err = loadCursor(dir, must(t, "clickhouse://user:pw@h/db?recording=x"))
	require.NoError(t, err)
	require.False(t, fresh)
	require.Equal(t, []frozenRange{{Instance: "ab", From: 7, To: 9, Rows: 100}}, c.Flight)
	b, err := os.ReadFile(c.path)
	require.NoError(t, err)
	require.NotContains(t, string(b), "pw")
	c.close()
	require.NoError(t, os.WriteFile(c.path, b[:10], 0o600))
	_, _, err = loadCursor(dir, must(t, "clickhouse://h/db?recording=x"))
	require.ErrorContains(t, err, "unexpected end of JSON input")
}

// A frame that may have been sent must be sent again exactly so, or not at all.
func TestAChangedTapeIsNotSentUnderAnOldToken(t *testing.T) {
	s := chtest.Start(t)
	dir := tapeOf(t, many(rand.New(rand.NewPCG(10, 10)), 1000, usual), tape.Config{})
	u, err := New(Config{To: "clickhouse://" + s.Addr + "/lab", Tape: dir})
	require.NoError(t, err)
	c, _, err := loadCursor(dir, u.to.public())
	require.NoError(t, err)
	f, err := tape.Follow(dir, 0)
	require.NoError(t, err)
	b, err := f.Next(t.Context())
	require.NoError(t, err)
	fr := newFrame(1, nil)
	require.NoError(t, fr.add(b, 1, never))
	require.NoError(t, f.Close())
	require.NoError(t, c.freeze(fr))
	c.Flight[0].Rows++
	require.NoError(t, c.save())
	c.close()
	// register finds no recording for the cursor and would begin anew: make it known first.
	fl := fleetOf(t, u.to)
	identity, err := tapeIdentity(dir)
	require.NoError(t, err)
	require.NoError(t, theSchema.migrate(t.Context(), fl))
	require.NoError(t, u.describe(t.Context(), fl, c, identity, false))
	err = u.Run(t.Context())
	require.ErrorContains(t, err, "sent before, have changed on the tape")
	l := u.Ledger()
	require.Zero(t, l.Accepted)
}

func TestASourceGoesOnWhereItsStreamsBroke(t *testing.T) {
	t.Parallel()
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=resume"
	r := rand.New(rand.NewPCG(11, 11))
	xs := many(r, 16_000, usual)
	for i := range xs { // some of one session, so that its stream is long, and some with equal keys
		if i%2 == 0 {
			xs[i].Session = 1
		}
		if i%1000 == 1 {
			xs[i] = xs[i-1]
		}
	}
	store(t, Config{To: url, Tape: tapeOf(t, xs, tape.Config{})})
	src, err := Open(t.Context(), url, "")
	require.NoError(t, err)
	defer src.Close()
	var restarted sync.WaitGroup
	defer restarted.Wait()
	var got []traffic.Exchange
	for {
		var x traffic.Exchange
		err := src.Next(t.Context(), &x)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		got = append(got, clone(&x))
		switch len(got) {
		case 100, 6000:
			require.True(t, s.KillEngine())
		case 9000: // for a second nobody listens
			s.Kill()
			restarted.Go(func() { time.Sleep(time.Second); s.Restart() })
		}
	}
	requireSame(t, inOrder(xs), got)
	require.ErrorIs(t, src.Next(t.Context(), new(traffic.Exchange)), io.EOF)
}

func TestCloseInTheMiddleLeavesNothing(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=close"
	store(t, Config{To: url, Tape: tapeOf(t, many(rand.New(rand.NewPCG(12, 12)), 5000, usual), tape.Config{})})
	engine := s.EnginePID()
	for _, n := range []int{0, 1, 100} {
		src, err := Open(t.Context(), url, "")
		require.NoError(t, err)
		var x traffic.Exchange
		for range n {
			require.NoError(t, src.Next(t.Context(), &x))
		}
		began := time.Now()
		require.NoError(t, src.Close())
		require.Less(t, time.Since(began), 2*time.Second)
		require.ErrorContains(t, src.Next(t.Context(), &x), "is closed")
	}
	require.Equal(t, engine, s.EnginePID())

	// An impatient caller loses nothing.
	src, err := Open(t.Context(), url, "")
	require.NoError(t, err)
	defer src.Close()
	late, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for {
		var x traffic.Exchange
		err := src.Next(late, &x)
		if errors.Is(err, context.Canceled) {
			err = src.Next(t.Context(), &x)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 5000, n)
}

func TestTheStoreRefusesInOneLine(t *testing.T) {
	s := chtest.Start(t, "--user", "lab:secret")
	dir := tapeOf(t, many(rand.New(rand.NewPCG(13, 13)), 10, usual), tape.Config{})
	run := func(url string) error {
		u, err := New(Config{To: url, Tape: dir})
		require.NoError(t, err)
		return u.Run(t.Context())
	}
	f := func(err error, want string) {
		t.Helper()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), "guess")
	}
	f(run("clickhouse://lab:guess@"+s.Addr+"/lab"), `user "lab": wrong password, or there is no such user`)
	f(run("clickhouse://"+s.Addr+"/lab"), `user "default": wrong password`)
	_, err := List(t.Context(), "clickhouse://lab:guess@"+s.Addr+"/lab")
	f(err, `user "lab": wrong password`)
	_, err = Open(t.Context(), "clickhouse://lab:secret@"+s.Addr+"/nowhere?recording=x", "")
	f(err, `no recording "x"`)
	_, err = Open(t.Context(), "clickhouse://127.0.0.1:1/lab?recording=x", "")
	f(err, "clickhouse://127.0.0.1:1/lab: dial tcp 127.0.0.1:1: connect: connection refused")
	_, err = Stat(t.Context(), "clickhouse://"+s.Addr+"/lab")
	f(err, "which recording?")

	good := "clickhouse://lab:secret@" + s.Addr + "/lab"
	require.NoError(t, run(good))
	db, err := must(t, good).open()
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Exec(t.Context(), "ALTER TABLE lab.exchange MODIFY SETTING non_replicated_deduplication_window = 0"))
	f(run(good), "table exchange does not deduplicate inserts: ALTER TABLE")
	require.NoError(t, db.Exec(t.Context(), "INSERT INTO lab.schema_version (version) VALUES (99)"))
	f(run(good), "the schema has version 99 and this redlane knows 2: use a newer redlane")
}

// What makes reading cheap: the server reads a shard in the table's order and never sorts it.
func TestStreamsAreReadInOrder(t *testing.T) {
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=explain"
	store(t, Config{To: url, Tape: tapeOf(t, many(rand.New(rand.NewPCG(14, 14)), 100, usual), tape.Config{})})
	st := newStream(must(t, url), 3, 100)
	f := func() {
		t.Helper()
		db, err := st.a.open()
		require.NoError(t, err)
		defer db.Close()
		rows, err := db.Query(t.Context(), "EXPLAIN actions = 1 "+st.statement())
		require.NoError(t, err)
		defer rows.Close()
		var plan []string
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			plan = append(plan, line)
		}
		require.NoError(t, rows.Err())
		require.Contains(t, strings.Join(plan, "\n"), "Read type: InOrder")
	}
	f()
	st.last, st.started = key{t0, 1, 2, 3}, true
	f()
}

// A block is about 1 MiB whatever its rows hold, so that 16 streams of three blocks stay small.
func TestBlocksOfBigBodiesStaySmall(t *testing.T) {
	t.Parallel()
	s := chtest.Start(t)
	url := "clickhouse://" + s.Addr + "/lab?recording=big"
	r := rand.New(rand.NewPCG(15, 15))
	xs := many(r, 300, usual)
	noise := rand.NewChaCha8([32]byte{15})
	for i := range xs {
		xs[i].Session = 1
		xs[i].Response.Body = make([]byte, 100_000)
		_, _ = noise.Read(xs[i].Response.Body)
	}
	store(t, Config{To: url, Tape: tapeOf(t, xs, tape.Config{Codec: tape.S2})})
	largest := func() (most int) {
		src, err := Open(t.Context(), url, "")
		require.NoError(t, err)
		defer src.Close()
		for range xs {
			var x traffic.Exchange
			require.NoError(t, src.Next(t.Context(), &x))
			most = max(most, len(src.current.block.rbody.Buf))
		}
		return most
	}
	require.Less(t, largest(), 3<<20) // of parts that are merged on the way: the limit in rows
	db, err := must(t, url).open()
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Exec(t.Context(), "OPTIMIZE TABLE lab.exchange FINAL"))
	require.Less(t, largest(), 3<<20) // of one part: its granules
}
