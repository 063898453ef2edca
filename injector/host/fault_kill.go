package host

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/conf"
)

var _ = register("kill", func() Fault { return new(Kill) })

// Kill ends the target's processes, once or again and again for as long as the lease lives. Whoever keeps the
// service running is what is tested: the agent does not start it again, restart does.
type Kill struct {
	Signal string        `yaml:"signal"` // KILL or TERM; empty means KILL
	Every  time.Duration `yaml:"every"`  // whatever the target is by then; 0: once
}

var killSignals = map[string]unix.Signal{"": unix.SIGKILL, "KILL": unix.SIGKILL, "TERM": unix.SIGTERM}

func (k *Kill) check(t *Target) error {
	switch _, ok := killSignals[k.Signal]; {
	case !ok:
		return fmt.Errorf("signal: want KILL or TERM, found %q%s", k.Signal, conf.DidYouMean(strings.ToUpper(k.Signal), []string{"KILL", "TERM"}))
	case k.Every != 0 && k.Every < 100*time.Millisecond:
		return fmt.Errorf("every: at least 100ms, found %s", k.Every)
	case t.Host:
		return fmt.Errorf("target: %s is the whole host; name processes", t.Name)
	}
	return nil
}

func (k *Kill) hold(g *ground) (release func(), got string, err error) {
	procs, err := g.procs()
	if err != nil {
		return nil, "", err
	}
	n, err := k.strike(procs)
	if err != nil {
		return nil, "", err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		if k.Every == 0 {
			return
		}
		tick := time.NewTicker(k.Every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if procs, err := g.procs(); err == nil { // it may not have come back yet
					_, _ = k.strike(procs) // what ended by itself needs no more
				}
			}
		}
	}()
	return func() { close(stop); <-stopped }, fmt.Sprintf("signalled %d", n), nil
}

// strike signals parents before children, so that fewer of them see it coming.
func (k *Kill) strike(procs []Proc) (n int, err error) {
	procs = slices.Clone(procs)
	slices.SortFunc(procs, func(a, b Proc) int { return a.Pid - b.Pid })
	for _, p := range procs {
		if err := p.signal(killSignals[k.Signal]); err == nil {
			n++
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("kill: none of %d processes could be signalled", len(procs))
	}
	return n, nil
}
