package replayer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/goroutine"
	"github.com/redlane/redlane/traffic"
)

// Stopped in the middle, every exchange that was read is in the ledger, and what was sent is answered.
func TestStopInTheMiddle(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var arrived atomic.Int32
	tt := serve(t, func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == 200 {
			cancel()
		}
		time.Sleep(5 * time.Millisecond)
	})
	src := &memorySource{list: steady(5000, 10, 500*time.Microsecond)}
	res, err := Run(ctx, Config{To: tt.to(), Lane: "red", UnsafeTarget: true}, src)
	require.NoError(t, err)
	require.NoError(t, res.Ledger.Balance())
	requireConsistent(t, res)
	require.True(t, res.Interrupted)
	require.GreaterOrEqual(t, res.Ledger.Passed, uint64(200))
	require.Greater(t, res.Ledger.Accepted, res.Ledger.Passed)
	require.EqualValues(t, len(tt.arrivals()), res.Ledger.Passed, "what was sent was waited for")
	require.Equal(t, map[string]uint64{"interrupted": res.Ledger.Accepted - res.Ledger.Passed}, res.Ledger.Dropped)
	require.Zero(t, res.Total.Errors.Sum(), "to be stopped is no error")
}

// What is never answered is waited for no longer than the grace.
func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	f := func(when string, want map[string]uint64) {
		t.Helper()
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hold := make(chan struct{})
			var arrived atomic.Int32
			tt := serve(t, func(http.ResponseWriter, *http.Request) {
				if arrived.Add(1) == 2 && when == "stopped" {
					cancel()
				}
				<-hold
			})
			defer close(hold)
			src := &memorySource{list: steady(20, 2, time.Millisecond)}
			src.before = func(i int) error {
				if i == 20 && when == "stopped before the start" {
					cancel()
				}
				return nil
			}
			res, err := Run(ctx, Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Grace: 100 * time.Millisecond}, src)
			require.NoError(t, err)
			require.NoError(t, res.Ledger.Balance())
			require.Equal(t, want, res.Ledger.Dropped)
			requireConsistent(t, res)
		})
	}
	f("at the end", map[string]uint64{"unanswered": 2, "unsent": 18})
	f("stopped", map[string]uint64{"unanswered": 2, "interrupted": 18})
	f("stopped before the start", map[string]uint64{"interrupted": 20})
}

func TestSourceErrorEndsTheRun(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	src := &memorySource{list: steady(100, 2, time.Millisecond)}
	src.before = func(i int) error {
		if i == 50 {
			return errors.New("torn")
		}
		return nil
	}
	res, err := Run(t.Context(), Config{To: tt.to(), Lane: "red", UnsafeTarget: true}, src)
	require.EqualError(t, err, "read recording, exchange 51: torn")
	require.NoError(t, res.Ledger.Balance())
	require.True(t, res.Interrupted)
}

// A driver that ends by itself ends the run, and the books still balance.
func TestDriverFailureEndsTheRun(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	enough := make(chan struct{})
	tt := serve(t, func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == 100 {
			close(enough)
		}
	})
	cfg := Config{To: tt.to(), Lane: "red", UnsafeTarget: true, Grace: 50 * time.Millisecond}
	cfg.Driver = func(loops int, h engine.NewHandler) (engine.Driver, error) {
		d, err := goroutine.New(goroutine.Config{Loops: loops}, h)
		return dyingDriver{d, enough}, err
	}
	res, err := Run(t.Context(), cfg, &memorySource{list: steady(2000, 20, time.Millisecond)})
	require.ErrorContains(t, err, "out of descriptors")
	require.NoError(t, res.Ledger.Balance())
	require.NotZero(t, res.Ledger.Passed)
	require.NotZero(t, res.Ledger.Dropped["interrupted"])
}

type dyingDriver struct {
	engine.Driver
	enough chan struct{}
}

func (d dyingDriver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-d.enough:
		case <-ctx.Done():
		}
	}()
	return errors.Join(d.Driver.Run(ctx), errors.New("out of descriptors"))
}

// More than the window holds makes a run invalid, and loses nothing.
func TestWindowExhausted(t *testing.T) {
	t.Parallel()
	tt := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) })
	res := replay(t, Config{To: tt.to(), Window: 8 << 10, Reorder: 4}, steady(100, 2, time.Millisecond))
	require.NotZero(t, res.Exhausted)
	require.ErrorContains(t, res.Valid(), "window")
	require.EqualValues(t, 100, res.Ledger.Passed)

	// One request that is larger than the window passes when it is alone.
	big := exchange(1, 0, 0)
	big.Request.Method = []byte("POST")
	big.Request.Body, big.Request.BodySize = make([]byte, 100<<10), 100<<10
	res = replay(t, Config{To: tt.to(), Window: 8 << 10}, []traffic.Exchange{big, exchange(1, 1, 0)})
	require.EqualValues(t, 2, res.Ledger.Passed)
}

func TestSlowSourceIsSeen(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	src := &memorySource{list: steady(50, 2, time.Millisecond)}
	src.before = func(i int) error {
		if i == 25 { // comes when its like has long been sent
			for range 20_000 {
				if len(tt.arrivals()) >= 20 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	}
	res := replayFrom(t, Config{To: tt.to(), Reorder: 1, LagLimit: 10 * time.Millisecond}, src)
	require.NotZero(t, res.ReadLate)
	require.Zero(t, res.Exhausted)
	require.ErrorContains(t, res.Valid(), "late by itself")
	require.EqualValues(t, 50, res.Ledger.Passed)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := ln.Addr().String()
	require.NoError(t, ln.Close())
	f := func(want string, cfg Config) {
		t.Helper()
		src := &memorySource{list: steady(1, 1, 0)}
		res, err := Run(t.Context(), cfg, src)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.Nil(t, res)
		require.Zero(t, src.next, "nothing is read before a run can start")
	}
	f("no target", Config{})
	f("no lane given", Config{To: nobody})
	f(`lane "Red!"`, Config{To: nobody, Lane: "Red!"})
	f(`lane "baseline"`, Config{To: nobody, Lane: "baseline"})
	f("connection refused", Config{To: nobody, Lane: "red", UnsafeTarget: true})
	f("connection refused", Config{To: "http://" + nobody + "/", AllowBaseline: true})
	f("cannot speak ftp", Config{To: "ftp://" + nobody, Lane: "red", UnsafeTarget: true})
	f("a path has no place", Config{To: "http://" + nobody + "/x", Lane: "red", UnsafeTarget: true})
	f("no port", Config{To: "127.0.0.1", Lane: "red", UnsafeTarget: true})
	f("no port", Config{To: "127.0.0.1:0", Lane: "red", UnsafeTarget: true})
	f("not an address", Config{To: "http://", Lane: "red", UnsafeTarget: true})
	f("no such file", Config{To: "unix:/no/such/socket", Lane: "red", UnsafeTarget: true})
	f("rate", Config{To: nobody, Lane: "red", UnsafeTarget: true, Rate: conf.Rate{Times: -1}})
	f("rate", Config{To: nobody, Lane: "red", UnsafeTarget: true, Rate: conf.Rate{Times: 1, PerSecond: 1}})
	f("timeout", Config{To: nobody, Lane: "red", UnsafeTarget: true, Timeout: -1})
	f("host", Config{To: nobody, Lane: "red", UnsafeTarget: true, Host: "a b"})

	_, err = Run(t.Context(), Config{To: nobody}, nil)
	require.True(t, ErrNoLane(err))
	require.False(t, ErrNoLane(io.EOF))
}

func TestEmptyRecordingProvesNothing(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	res := replay(t, Config{To: tt.to()}, nil)
	require.ErrorContains(t, res.Valid(), "nothing that can be sent")
}

func TestResultKeepsItselfInAFile(t *testing.T) {
	t.Parallel()
	tt := serve(t, nil)
	res := replay(t, Config{To: tt.to(), Rate: conf.Rate{PerSecond: 1000}}, steady(100, 4, 0))
	data, err := json.Marshal(*res)
	require.NoError(t, err)
	var back Result
	require.NoError(t, json.Unmarshal(data, &back))
	requireConsistent(t, &back)
	require.Equal(t, "1000/s", back.Rate)
	require.Equal(t, res.Ledger, back.Ledger)
	require.Equal(t, res.Total.Due.Quantile(0.99), back.Total.Due.Quantile(0.99))
	again, err := json.Marshal(&back)
	require.NoError(t, err)
	require.JSONEq(t, string(data), string(again))
}
