package scenarios

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/mesh"
	"github.com/redlane/redlane/mesh/proxy"
	"github.com/redlane/redlane/replayer"
	"github.com/redlane/redlane/reports"
	"github.com/redlane/redlane/traffic"
)

// Options of a run. Zero fields take the default named beside them.
type Options struct {
	Out      string      // required; folder for logs, results and, by the caller, the report
	Clock    clock.Clock // nil means clock.System
	Version  string      // of redlane, for the report
	Repeat   string      // command that repeats the run, for the report
	Progress io.Writer   // a line as things happen; nil is silent
	Loops    int         // of the mesh, and of each replay; 0 means one per processor Go may use. See Processors
}

// Processors is what a program that runs scenarios sets GOMAXPROCS to: a loop keeps its processor while it
// waits a moment, those of the proxy and those of a replay. Two are for everything else, such as the feed of a
// replay.
func Processors(loops int) int { return 2*loops + 2 }

// A run is one execution of a scenario: what it started and what it has found so far.
type run struct {
	scenario *Scenario
	out      string
	clock    clock.Clock
	progress io.Writer
	loops    int

	ticketKey ed25519.PrivateKey // of the mesh and the replays of this run, and of nobody else
	proxy     *proxy.Proxy
	faults    *injector.Table
	observer  *observer
	start     time.Time // zero of the time line
	wait      sync.WaitGroup

	mu struct {
		sync.Mutex
		processes []*process
		steps     map[*Step]*reports.Step
		ledgers   []traffic.Ledger
		replays   []reports.Replay
		faults    []reports.Fault
		warnings  []string
		files     []reports.File
		recorded  uint64
		results   []*replayer.Result
	}
}

// Run carries out the scenario and returns what it found. The error is about what Run itself needs (a
// port in use, a folder that cannot be written); a step that fails is part of the result. Whatever
// happens, everything that was started has ended when Run returns.
func Run(ctx context.Context, s *Scenario, opt Options) (*reports.Run, error) {
	if opt.Clock == nil {
		opt.Clock = clock.System
	}
	if opt.Progress == nil {
		opt.Progress = io.Discard
	}
	if err := os.MkdirAll(opt.Out, 0o755); err != nil {
		return nil, fmt.Errorf("make the report's folder: %w", err)
	}
	r := &run{scenario: s, out: opt.Out, clock: opt.Clock, progress: opt.Progress, loops: opt.Loops}
	r.mu.steps = make(map[*Step]*reports.Step)
	r.start = r.clock.Now()
	r.observer = newObserver(r.clock, r.start)
	r.faults = injector.NewTable(injector.Config{Clock: r.clock})
	for i := range s.Steps {
		if p, ok := s.Steps[i].verb.(preparer); ok {
			if err := p.prepare(r, &s.Steps[i]); err != nil {
				return nil, err
			}
		}
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make ticket key: %w", err)
	}
	r.ticketKey = key
	m := s.mesh()
	m.Tickets = &mesh.Tickets{Private: key}
	r.proxy, err = proxy.New(proxy.Config{
		Mesh: m, Clock: r.clock, Loops: r.loops,
		Slots: []proxy.Slot{
			{Name: "observer", Level: proxy.Tap, Filter: r.observer},
			{Name: "faults", Level: proxy.Fault, Filter: r.faults.Filter()},
		},
	})
	if err != nil {
		return nil, err
	}
	return r.supervise(ctx, opt)
}

// supervise runs the mesh around the steps, and ends everything in the order in which nothing is lost:
// clients and services first, then the mesh, which drains.
func (r *run) supervise(ctx context.Context, opt Options) (*reports.Run, error) {
	meshCtx, stopMesh := context.WithCancel(context.WithoutCancel(ctx))
	defer stopMesh()
	meshDone := make(chan error, 1)
	go func() { meshDone <- r.proxy.Run(meshCtx) }()
	tickCtx, stopTick := context.WithCancel(ctx)
	r.wait.Go(func() { r.observer.tick(tickCtx) })

	stepsErr := r.timeline(ctx)
	invariants := askInvariants(context.WithoutCancel(ctx), r.scenario)
	stopTick()
	r.stopProcesses()
	r.wait.Wait()
	stopMesh()
	if err := <-meshDone; err != nil {
		r.warn("the mesh ended with: %v", err)
	}
	r.observer.finish()
	return r.result(opt, stepsErr, context.Cause(ctx), invariants), nil
}

// timeline carries out the steps. A step that fails ends the run.
func (r *run) timeline(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	steps := r.scenario.Steps
	first := 0
	for ; first < len(steps) && steps[first].isService(); first++ {
		if err := r.step(ctx, &steps[first]); err != nil {
			return err
		}
	}
	r.beginTimeline()
	var running sync.WaitGroup
	before := make(chan struct{}) // closed when the step before has ended
	close(before)
	for i := range steps[first:] {
		st, after, done := &steps[first+i], before, make(chan struct{})
		running.Go(func() {
			defer close(done)
			if r.await(ctx, st, after) != nil {
				return
			}
			if err := r.step(ctx, st); err != nil {
				stop(err)
			}
		})
		before = done
	}
	running.Wait()
	return context.Cause(ctx)
}

// beginTimeline makes now the zero that steps count from.
func (r *run) beginTimeline() {
	r.say("time line begins: %d services ready", len(r.scenario.Services))
	r.start = r.clock.Now()
	r.observer.restart(r.start)
}

// await returns nil when it is st's turn.
func (r *run) await(ctx context.Context, st *Step, after <-chan struct{}) error {
	if st.At != nil {
		return r.clock.SleepUntil(ctx, r.start.Add(*st.At))
	}
	select {
	case <-after:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// step carries out one step and notes what became of it.
func (r *run) step(ctx context.Context, st *Step) error {
	began := r.sinceStart()
	r.say("%s", st.describe())
	err := st.verb.run(ctx, r, st)
	r.noteStep(st, began, err)
	if err != nil && ctx.Err() == nil {
		return st.Errorf("%s: %w", st.Name, err)
	}
	return nil
}

func (r *run) stopProcesses() {
	r.mu.Lock()
	processes := r.mu.processes
	r.mu.Unlock()
	for i := len(processes) - 1; i >= 0; i-- { // callers before those they call
		processes[i].stop()
	}
}

func (r *run) addProcess(p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.processes = append(r.mu.processes, p)
}

// address is where the outside reaches a service.
func (r *run) address(service string) string { return r.scenario.Services[service].Listen }

// runID is the stress tag of the run's replays: when it began, and its seed.
func (r *run) runID() string {
	return fmt.Sprintf("%s-seed-%d", r.start.UTC().Format("20060102T150405"), r.scenario.Seed)
}

func (r *run) sinceStart() time.Duration { return r.clock.Now().Sub(r.start) }

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.progress, "%6.1fs  %s\n", r.sinceStart().Seconds(), fmt.Sprintf(format, args...))
}

func (r *run) warn(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.warnings = append(r.mu.warnings, fmt.Sprintf(format, args...))
}
