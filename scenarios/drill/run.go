package drill

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/reports"
)

// Options of a drill. Zero fields take the default named beside them.
type Options struct {
	TicketKeys ticket.Keys // by which the target proves that both lanes are lanes; see UnsafeTarget
	Unsafe     bool        // feed a target that proves nothing
	Token      string      // drill token for proxies that ask for one; they ask only for starting and renewing
	Env        func(string) (string, bool)
	SignWith   ed25519.PrivateKey // of the journal; nil: it has a hash only
	Clock      clock.Clock        // nil means clock.System
	Version    string             // of redlane
	Repeat     string             // command that repeats the drill
	Progress   io.Writer          // a line as things happen; nil is silent
	Loops      int                // of each of the two replays; 0 means 1
}

// TokenEnv is the variable of the environment that experiments read the drill token from. Options.Token goes before it.
const TokenEnv = "REDLANE_DRILL_TOKEN"

// A Result is what a drill leaves behind. Both say the same, for different readers.
type Result struct {
	Journal *Journal
	Report  *reports.Run
}

// A run is one execution of a drill.
//
//	preflight ─► feed both lanes ─► brake ─► steady ─► method ─► rollbacks ─► recovery ─► judge
//	               └─────────────── watch: leases, guard, baseline ───────────────┘
type run struct {
	x        *Experiment
	drill    *Drill
	opt      Options
	clock    clock.Clock
	plane    *plane
	actor    *actor
	record   *Record
	journal  *Journal
	began    time.Time // of the drill
	feedZero time.Time // due time 0

	faulted, control *arm
	feeds            []*feed
	spans            spans
	first            *sample // at the beginning of the watch
	generations      []string
	guarded          bool // the proxies have our guard
	warnings         []string

	mu struct {
		sync.Mutex
		audit   []Entry
		faults  map[string]*FaultRecord
		samples []*sample // at the ends of windows
		stopped string    // why the drill was stopped
	}
}

// Run carries out the drill and returns what it found. A *Refusal says why nothing was armed; the Result is there
// then too. Whatever happens, nothing that was started goes on when Run returns.
func Run(ctx context.Context, x *Experiment, opt Options) (*Result, error) {
	if x.Drill == nil {
		return nil, x.Errorf("extensions: there is none called %s, so nobody knows which lanes to compare", ExtensionName)
	}
	r, err := newRun(x, opt)
	if err != nil {
		return nil, err
	}
	defer r.plane.close()
	defer r.actor.http.CloseIdleConnections()
	err = r.all(ctx)
	return r.result(ctx, err), refusal(err)
}

// refusal is err if it is one. Any other error is part of the result.
func refusal(err error) error {
	var no *Refusal
	if errors.As(err, &no) {
		return no
	}
	return nil
}

func newRun(x *Experiment, opt Options) (*run, error) {
	if opt.Clock == nil {
		opt.Clock = clock.System
	}
	if opt.Env == nil {
		opt.Env = os.LookupEnv
	}
	if opt.Progress == nil {
		opt.Progress = io.Discard
	}
	env := opt.Env
	if opt.Token != "" {
		env = func(key string) (string, bool) {
			if key == TokenEnv {
				return opt.Token, true
			}
			return opt.Env(key)
		}
	}
	config, secrets, err := x.values(env)
	if err != nil {
		return nil, err
	}
	d := x.Drill
	r := &run{x: x, drill: d, opt: opt, clock: opt.Clock, plane: newPlane(d.Proxies, opt.Token), began: opt.Clock.Now()}
	r.actor = &actor{clock: opt.Clock, http: &http.Client{Transport: &http.Transport{}}, config: config, secrets: secrets}
	r.actor.rewrite = r.underGuard
	r.faulted, r.control = &arm{width: d.Window}, &arm{width: d.Window}
	r.spans = spans{armed: -1, gone: -1}
	r.mu.faults = make(map[string]*FaultRecord)
	r.record = &Record{
		Name: ExtensionName, Redlane: opt.Version, Lane: string(d.Lane), Control: string(d.Control), Edge: d.Edge.String(), Seed: d.Seed,
		Preflight: []Look{}, Faults: []FaultRecord{},
	}
	node, err := os.Hostname()
	if err != nil {
		node = "unknown"
	}
	r.journal = &Journal{
		Version: "redlane " + opt.Version, Platform: runtime.GOOS + "/" + runtime.GOARCH, Node: node, Experiment: x.Plain,
		Start: stamp(r.began), Status: Completed, Run: []Outcome{}, Rollbacks: []Outcome{}, Extensions: []*Record{r.record},
		SteadyStates: SteadyStates{During: []State{}},
	}
	return r, nil
}

// all is the drill from its first look to its last.
func (r *run) all(ctx context.Context) error {
	r.audit("drill begins: %s", r.x.Title)
	if err := r.preflight(ctx); err != nil {
		return err
	}
	stopFeeds := r.feed(ctx)
	defer stopFeeds()
	if err := r.sleep(ctx, r.drill.Warmup+r.feedZero.Sub(r.clock.Now())); err != nil {
		return err
	}
	if err := r.feedFailed(); err != nil {
		return err
	}
	if err := r.passed("there is traffic in both lanes", r.lookTraffic(ctx)); err != nil {
		return err
	}
	var err error
	if r.first, err = r.plane.scrape(ctx, r.drill.Service); err != nil {
		return err
	}
	if err := r.brake(ctx); err != nil {
		return err
	}
	methodCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stopWatch := r.watch(ctx, stop)
	defer stopWatch()

	r.spans.warm = r.since()
	if err := r.sleep(ctx, time.Duration(r.drill.Steady+1)*r.drill.Window); err != nil { // the first window began before
		return err
	}
	if r.looks("before") && !r.hypothesis(ctx, "before", &r.journal.SteadyStates.Before) {
		r.journal.Status = Failed
		r.rollback(ctx)
		return nil
	}
	r.spans.mayBeArmedFrom = r.since()
	r.method(methodCtx)
	r.after(ctx, methodCtx)
	r.rollback(ctx)
	if ctx.Err() == nil {
		r.recover(ctx)
	}
	stopWatch()
	stopFeeds()
	return r.feedFailed()
}

// brake arms the guard, pulls the brake on a lease that strikes nothing, and arms the guard again.
func (r *run) brake(ctx context.Context) error {
	if err := r.armGuards(ctx); err != nil {
		return err
	}
	err := r.testBrake(ctx)
	if _, leftErr := r.plane.removeLane(context.WithoutCancel(ctx), string(r.drill.Lane)); err == nil {
		err = leftErr
	}
	if err != nil || !r.guarded {
		return err
	}
	return r.armGuards(ctx)
}

// since is the time since due time 0.
func (r *run) since() time.Duration { return r.clock.Now().Sub(r.feedZero) }

func (r *run) sleep(ctx context.Context, d time.Duration) error {
	return r.clock.SleepUntil(ctx, r.clock.Now().Add(d))
}

// audit adds a row, and tells whoever watches.
func (r *run) audit(format string, args ...any) {
	now, what := r.clock.Now(), fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.audit = append(r.mu.audit, Entry{stamp(now), what})
	fmt.Fprintf(r.opt.Progress, "%6.1fs  %s\n", now.Sub(r.began).Seconds(), what)
}
