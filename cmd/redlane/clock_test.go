package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/internal/testkit"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/recorder/store"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// A setLoop tells the time of a clock that is set.
type setLoop struct {
	engine.Loop
	clock clock.Clock
}

func (l setLoop) Now() time.Time { return l.clock.Now() }

// The clock of the machine is set back by an hour, forward by a day and back again, while clients talk to a proxy that
// is recorded. Every request is answered, nobody waits for the time to come again, and the books are exact: each request
// is on the tape once, at the time that the clock showed, and the tape is read in the order of its times.
func TestTheClockIsSetUnderAProxy(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	defer service.Close()
	clk := new(testkit.Clock)
	dir := filepath.Join(t.TempDir(), "tape")
	rec, err := store.New(store.Config{To: dir, Recorder: recorder.Config{Clock: clk, Tape: tape.Config{Clock: clk, Keep: tape.Keep{Age: 100 * 24 * time.Hour}}}})
	require.NoError(t, err)
	p, err := proxy.New(proxy.Config{
		Mesh:  &mesh.Config{Services: map[string]*mesh.Service{"web": {Listen: "127.0.0.1:0", Endpoints: []string{service.Listener.Addr().String()}}}},
		Clock: clk, Loops: 2, Slots: []proxy.Slot{{Name: "record", Level: proxy.Tap, Filter: rec.Filter()}},
		NewDriver: func(h engine.NewHandler) (engine.Driver, error) {
			d, _, err := choose.Driver(choose.Config{Loops: 2}, func(l engine.Loop) engine.Handler { return h(setLoop{l, clk}) })
			return d, err
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := make(chan error, 2)
	recording, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { running <- rec.Run(recording) }()
	proxied := make(chan error, 1)
	go func() { proxied <- p.Run(ctx) }()

	// Clients ask all the time; the clock is set under way.
	var sent atomic.Int64
	over := make(chan struct{})
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			transport := new(http.Transport)
			defer transport.CloseIdleConnections()
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				path := fmt.Sprintf("/%d/%d", c, i)
				res, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("http://" + p.Addr("web", "").String() + path)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close() // it was read
				if err != nil || string(body) != path {
					t.Errorf("%s: %d %q %v", path, res.StatusCode, body, err)
					return
				}
				sent.Add(1)
				time.Sleep(50 * time.Millisecond) // pages are written because it is time, not because they are full
			}
		})
	}
	stored := func() uint64 { return rec.Progress()[0].Stored }
	marks := make(map[string]int64) // the clock when it was set
	for i, step := range []time.Duration{0, -time.Hour, 25 * time.Hour, -24 * time.Hour} {
		clk.Step(step)
		marks[fmt.Sprint(i)] = clk.Now().UnixNano()
		before := stored()
		require.Eventually(t, func() bool { return stored() > before+20 || t.Failed() }, 10*time.Second, time.Millisecond, "after a step of %v nothing comes to the tape", step)
	}
	close(over)
	clients.Wait()
	cancel()
	require.NoError(t, <-proxied)
	stop()
	require.NoError(t, <-running)

	books := rec.Ledgers()[0]
	require.NoError(t, books.Balance())
	require.EqualValues(t, sent.Load(), books.Accepted)
	require.EqualValues(t, sent.Load(), books.Passed, "%s", &books)
	rep, err := tape.Verify(dir)
	require.NoError(t, err)
	require.True(t, rep.OK(), "%s", rep)
	require.EqualValues(t, sent.Load(), rep.Exchanges)

	src, err := tape.Open(dir)
	require.NoError(t, err)
	defer src.Close()
	seen, last, hours := make(map[string]bool), int64(0), make(map[int64]bool)
	x := new(traffic.Exchange)
	for src.Next(t.Context(), x) == nil {
		require.GreaterOrEqual(t, x.Start, last)
		last = x.Start
		require.False(t, seen[string(x.Request.Target)], "%s is on the tape twice", x.Request.Target)
		seen[string(x.Request.Target)] = true
		hours[(x.Start-marks["1"])/int64(30*time.Minute)] = true
	}
	require.EqualValues(t, sent.Load(), len(seen))
	require.True(t, hours[0] && hours[2] && hours[50], "the hours of the tape are not those of the clock: %v", hours)
}
