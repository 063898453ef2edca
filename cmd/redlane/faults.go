package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/injector/envoy"
	"github.com/redlane/redlane/injector/guard"
	"github.com/redlane/redlane/injector/token"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/traffic"
)

// A faultPlane is what a proxy needs for faults: the leases, the guards that end them, and the other ways to end
// them all, which ask nobody for a token: SIGUSR1 and a file.
type faultPlane struct {
	table  *injector.Table
	guards *guard.Set
	envoy  *envoy.Dialect // nil: none
	log    *slog.Logger
	start  *mesh.Config
	tokens token.Verifier
	proxy  atomic.Pointer[proxy.Proxy] // once there is one
}

func newFaultPlane(m *mesh.Config, logs io.Writer) *faultPlane {
	f := &faultPlane{log: slog.New(slog.NewTextHandler(logs, nil)), start: m}
	maxTTL := time.Duration(0)
	if m.Drills != nil {
		maxTTL = m.Drills.MaxTTL
	}
	f.table = injector.NewTable(injector.Config{
		Clock: clock.System, MaxTTL: maxTTL, Allow: f.allow, Halted: f.halted,
		Guarded: func(id string) error { return f.guards.Guarded(id) },
		Ended: func() {
			if p := f.proxy.Load(); p != nil {
				p.Reshape()
			}
		},
		Target: func(lane traffic.Color, e injector.Edge) error {
			return f.inForce().Struck(lane, e.Caller, e.Callee)
		},
	})
	f.envoy = f.newEnvoy()
	f.guards = guard.NewSet(guard.Config{Clock: clock.System, MaxTTL: maxTTL, Allow: f.allow, Trip: f.trip})
	return f
}

// inForce is the configuration that the proxy goes by, also after a reload.
func (f *faultPlane) inForce() *mesh.Config {
	if p := f.proxy.Load(); p != nil {
		return p.Mesh()
	}
	return f.start
}

// allow reads the keys anew each time: whoever takes a key away has it gone at once.
func (f *faultPlane) allow(text string, lane traffic.Color) error {
	keys, err := f.inForce().DrillKeys()
	if err != nil {
		return &token.Error{Cause: err.Error()}
	}
	_, err = f.tokens.Verify(keys, text, lane, clock.System.Now())
	return err
}

func (f *faultPlane) trip(id string) []string {
	ended := f.table.Trip(id)
	if st, err := f.guards.Status(id); err == nil {
		f.log.Warn("guard ended", "guard", id, "state", st.State, "why", st.Why, "faults", ended)
	}
	return ended
}

func (f *faultPlane) slots() []proxy.Slot {
	slots := []proxy.Slot{
		{Name: "guard", Level: proxy.Tap, Filter: f.guards.Seen()},
		{Name: "guard, under way", Level: proxy.Fault, Filter: f.guards.UnderWay()}, // before the faults, which it judges
		{Name: "faults", Level: proxy.Fault, Filter: f.table.Filter()},
	}
	if f.envoy != nil {
		slots = append(slots, proxy.Slot{Name: "envoy headers", Level: proxy.Fault, Filter: f.envoy.Filter()}) // what a lease struck is left alone
	}
	return slots
}

// handler is for the admin address.
func (f *faultPlane) handler() http.Handler {
	mux := http.NewServeMux()
	for _, path := range faultPaths {
		mux.Handle(path, f.alsoHalt(f.table.Handler()))
	}
	for _, path := range guardPaths {
		mux.Handle(path, f.guards.Handler())
	}
	return mux
}

var (
	faultPaths = []string{"/faults", "/faults/", "/halt"}
	guardPaths = []string{"/guards", "/guards/", "/slo/"}
)

func (f *faultPlane) mounts() map[string]http.Handler {
	h, mounts := f.handler(), map[string]http.Handler{}
	for _, path := range append(faultPaths, guardPaths...) {
		mounts[path] = h
	}
	return mounts
}

// run looks after the guards, SIGUSR1 and the halt file until stop is called.
func (f *faultPlane) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = f.guards.Run(ctx) }) // ends with ctx
	all.Go(func() { f.watch(ctx) })
	return func() {
		cancel()
		all.Wait()
	}
}

func (f *faultPlane) watch(ctx context.Context) {
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	defer signal.Stop(usr1)
	tick := time.NewTicker(guard.Every)
	defer tick.Stop()
	for {
		select {
		case <-usr1:
			f.halt("SIGUSR1")
		case <-tick.C:
			if f.table.Live() > 0 && f.halted() != nil {
				f.halt("the halt file")
			} else if f.envoy != nil && f.halted() != nil {
				f.envoy.Halt()
			}
		case <-ctx.Done():
			return
		}
	}
}

func (f *faultPlane) halt(why string) {
	if f.envoy != nil {
		f.envoy.Halt()
	}
	f.log.Warn("faults halted", "by", why, "ended", f.table.Halt())
}

// halted says why no fault may begin. A file that cannot be looked at counts as there.
func (f *faultPlane) halted() error {
	d := f.inForce().Drills
	if d == nil || d.HaltFile == "" {
		return nil
	}
	switch _, err := os.Lstat(d.HaltFile); {
	case err == nil:
		return fmt.Errorf("%s is there", d.HaltFile)
	case os.IsNotExist(err):
		return nil
	default:
		return err
	}
}
