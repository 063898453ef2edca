package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/redlane/redlane/internal/bus"
	"github.com/redlane/redlane/internal/clock"
)

// WorkerConfig of a worker. Zero fields take the default named beside them.
type WorkerConfig struct {
	Bus    *bus.Bus
	Engine Engine
	ID     string            // unique in the fleet; letters, digits and -
	Name   string            // for people; empty means ID
	Labels map[string]string // a run may ask for some
	Loops  int               // its capacity, against others'; 0 means 1
	Once   bool              // one run and no more
	Clock  clock.Clock       // nil means clock.System
	Log    func(line string) // nil means nobody wants to know
}

// Work joins runs until ctx ends, and then hands back what it has: others go on with it. With Once it
// returns after a run, and with an error when that was invalid.
func Work(ctx context.Context, cfg WorkerConfig) error {
	w := &worker{WorkerConfig: cfg}
	if w.Name == "" {
		w.Name = w.ID
	}
	w.Loops = max(w.Loops, 1)
	if w.Clock == nil {
		w.Clock = clock.System
	}
	if w.Log == nil {
		w.Log = func(string) {}
	}
	calls := make(chan call, 1)
	told := "" // the run whose call could not be understood
	stop, err := w.Bus.Subscribe(callSubject, func(m *bus.Message) {
		var c call
		if err := decode(m.Data, &c); err != nil {
			if told != err.Error() {
				told = err.Error()
				w.Log("a run calls for workers and cannot have this one: " + told)
			}
			return
		}
		select {
		case calls <- c:
		default: // busy, or one is waiting: it will be repeated
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	refused := make(map[string]bool)
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-calls:
			if refused[c.Run] || !has(w.Labels, c.Labels) {
				continue
			}
			joined, err := w.serve(ctx, c.Run)
			if err != nil && !(joined && errors.As(err, new(*gaveUp))) { // that has been said
				w.Log(fmt.Sprintf("run %s: %v", c.Run, err))
			}
			refused[c.Run] = true // also when it is over
			if w.Once && joined {
				return err
			}
		}
	}
}

type worker struct{ WorkerConfig }

func has(labels, wanted map[string]string) bool {
	for k, v := range wanted {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// serve joins a run and returns when it is over for this worker.
func (w *worker) serve(outer context.Context, run string) (joined bool, err error) {
	s := &session{worker: w, run: run, done: make(chan string, 1), parts: make(map[int]*part)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(outer))
	defer cancel()
	s.ctx = ctx
	s.heard()

	kvCtx, kvCancel := context.WithTimeout(ctx, 5*time.Second)
	defer kvCancel()
	if s.leases, err = w.Bus.KV(kvCtx, leaseBucket(run), leaseConfig); err != nil {
		return false, err
	}
	for what, f := range map[string]func(*bus.Message){subject(run, "all"): s.onBeat, orderSubject(run, w.ID): s.onOrder} {
		stop, err := w.Bus.Subscribe(what, f)
		if err != nil {
			return false, err
		}
		defer stop()
	}
	var a answer
	if err := s.ask(ctx, "join", 2*time.Second, encode(&join{w.ID, w.Name, maps.Clone(w.Labels), w.Loops}), &a); err != nil {
		return false, err
	}
	if a.Refused != "" {
		return false, errors.New(a.Refused)
	}
	w.Log(fmt.Sprintf("run %s: joined", run))
	defer s.wait()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for leaving := outer.Done(); ; {
		select {
		case verdict := <-s.done:
			s.cancelAll(errOver)
			w.Log(fmt.Sprintf("run %s: %s", run, verdict))
			return true, nil
		case <-leaving:
			leaving = nil
			if s.handBack() == 0 {
				return true, nil
			}
		case <-tick.C:
			limit := holdTime
			if !s.begun() {
				limit = patience
			}
			if quiet := s.quiet(); quiet > limit {
				err := &gaveUp{"its controller has not been heard of", quiet}
				w.Log(fmt.Sprintf("run %s: %v", run, err)) // now: what was sent may take a while to end
				s.cancelAll(err)
				return true, err
			}
			if leaving == nil && s.idle() {
				return true, nil
			}
			if err := s.broken(); err != nil {
				w.Log(fmt.Sprintf("run %s: %v", run, err))
				return true, err
			}
		}
	}
}

var errOver = errors.New("the run is over")

// leaseConfig of the bucket with the leases of a run. It goes with the run, or an hour after a controller that died.
var leaseConfig = bus.KVConfig{TTL: time.Hour, Memory: true}
