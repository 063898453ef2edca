package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/bench/internal/lab"
	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/control"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/traffic"
)

var _ = parts.Add("abort", []string{"abort_p99_ms"}, (*bench).abort)

// abortLanes are drilled at once, each with a guard, a fault and traffic of its own.
const abortLanes = 4

// abort is how long a broken lane stays broken: from the first request that a fault struck, as its client saw it, to
// the last. In every other round the fault makes requests slow instead of failing them.
func (b *bench) abort(ctx context.Context) error {
	s, err := b.site(ctx, lab.CoreOfProxy, abortLanes, "")
	if err != nil {
		return err
	}
	c, controller, err := b.serve(ctx, []*site{s})
	if err != nil {
		return err
	}
	loadCtx, stop := context.WithCancel(ctx)
	var load sync.WaitGroup
	clients := make([]*laneClient, abortLanes)
	for i, lane := range append(lanesOf(abortLanes), "") {
		l := &laneClient{addr: s.addr, lane: lane}
		if lane != "" {
			clients[i] = l
		}
		load.Go(func() { l.run(loadCtx) })
	}
	defer func() {
		stop()
		load.Wait()
	}()
	rounds := 26
	if b.quick {
		rounds = 6
	}
	kinds := []string{"errors", "p99"}
	took := map[string][]float64{}
	for round := range rounds {
		kind := kinds[round%2]
		one, err := b.abortRound(ctx, c, clients, kind)
		if err != nil {
			return err
		}
		took[kind] = append(took[kind], one...)
	}
	all := append(took["errors"], took["p99"]...)
	for _, kind := range kinds {
		b.Note("broken by %s: p50 %.0f ms, p99 %.0f ms of %d", kind, quantile(took[kind], 0.5), quantile(took[kind], 0.99), len(took[kind]))
	}
	b.single("abort_p99_ms", quantile(all, 0.99), "%d drills, %d at a time, 100 requests/s in each lane: from the first bad request to the last p50 %.0f ms, p99 %.0f ms, at most %.0f ms",
		len(all), abortLanes, quantile(all, 0.5), quantile(all, 0.99), quantile(all, 1))
	if err := b.Stop(controller); err != nil {
		return err
	}
	return b.stop(s)
}

// slowLimit is the p99 that a lane may have, and slowBy by how much more requests are made slow.
const (
	slowLimit = 250 * time.Millisecond
	slowBy    = 2 * time.Second
)

func (b *bench) abortRound(ctx context.Context, c *control.Client, clients []*laneClient, kind string) (took []float64, err error) {
	var wait sync.WaitGroup
	times, errs := make([]float64, len(clients)), make([]error, len(clients))
	for i, l := range clients {
		wait.Go(func() {
			time.Sleep(time.Duration(i) * 37 * time.Millisecond) // not all at the same place between two looks
			times[i], errs[i] = l.drill(ctx, c, kind)
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("lane %s: %w", clients[i].lane, err)
		}
	}
	return times, nil
}

// drill arms guard and fault, and waits until the guard has ended it.
func (l *laneClient) drill(ctx context.Context, c *control.Client, kind string) (float64, error) {
	id := string(l.lane)
	g := guard.Guard{ID: id, Lane: l.lane, Service: "app", ErrorRate: 0.02, P99: slowLimit, TTL: 10 * time.Minute}
	if _, err := c.ArmGuard(ctx, g); err != nil {
		return 0, err
	}
	for { // what the drill before has broken must have left the window
		got, err := c.Guard(ctx, id)
		if err != nil {
			return 0, err
		}
		if got.State == guard.Ready {
			break
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
	l.begin()
	lease := refusing(id, l.lane)
	if lease.Guard = id; kind == "p99" {
		lease.Fault = &injector.Latency{Delay: slowBy}
	}
	if _, err := c.Arm(ctx, lease); err != nil {
		return 0, err
	}
	for range 1500 {
		f, err := c.Fault(ctx, id)
		if err != nil {
			return 0, err
		}
		if f.State == injector.Tripped {
			l.gone.Store(time.Now().UnixNano())
			return l.broken(ctx)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("the guard did not trip")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A laneClient sends 100 requests a second in its lane, open loop, each on a goroutine, and keeps when the first and the
// last were bad: failed, or slower than the limit.
type laneClient struct {
	addr        string
	lane        traffic.Color
	first, last atomic.Int64 // ends of bad requests, Unix nanoseconds
	gone        atomic.Int64 // when the fault was seen to be gone; what begins later is not its doing
}

func (l *laneClient) run(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-tick.C:
			all.Go(func() { l.ask(ctx, client) })
		case <-ctx.Done():
			return
		}
	}
}

func (l *laneClient) ask(ctx context.Context, client *http.Client) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.addr+"/", nil)
	if err != nil {
		return
	}
	if l.lane != "" {
		req.Header.Set("x-lane", string(l.lane))
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	now := time.Now()
	if gone := l.gone.Load(); gone != 0 && began.UnixNano() > gone {
		return
	}
	if ctx.Err() != nil || err == nil && resp.StatusCode < 500 && now.Sub(began) <= slowLimit {
		return
	}
	// A slow request is bad from the moment on at which it is too slow.
	bad := min(now.UnixNano(), began.Add(slowLimit).UnixNano())
	l.first.CompareAndSwap(0, bad)
	for {
		first := l.first.Load()
		if bad >= first || l.first.CompareAndSwap(first, bad) {
			break
		}
	}
	for {
		last := l.last.Load()
		if now.UnixNano() <= last || l.last.CompareAndSwap(last, now.UnixNano()) {
			return
		}
	}
}

func (l *laneClient) begin() {
	l.first.Store(0)
	l.last.Store(0)
	l.gone.Store(0)
}

// broken is for how long the lane was, in milliseconds, when what was under way has come back.
func (l *laneClient) broken(ctx context.Context) (float64, error) {
	if err := pause(ctx, 500*time.Millisecond); err != nil {
		return 0, err
	}
	first, last := l.first.Load(), l.last.Load()
	if first == 0 {
		return 0, fmt.Errorf("no request was bad")
	}
	return float64(last-first) / 1e6, nil
}
