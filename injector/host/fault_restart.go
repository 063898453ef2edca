package host

import (
	"errors"
	"fmt"
	"time"
)

var _ = register("restart", func() Fault { return new(Restart) })

// Restart stops the target when the lease begins and starts it, as its configuration says, when it ends: it
// is down for as long as the lease lives.
type Restart struct {
	Grace time.Duration `yaml:"grace"` // from SIGTERM to SIGKILL; 0 means 2s
}

const maxGrace = 5 * time.Second // an answer to who asked for the lease must not take for ever

func (r *Restart) check(t *Target) error {
	switch {
	case r.Grace < 0 || r.Grace > maxGrace:
		return fmt.Errorf("grace: want up to %s, found %s", maxGrace, r.Grace)
	case len(t.Start) == 0:
		return fmt.Errorf("target: %s has no start: say how to start it again, or use kill", t.Name)
	}
	return nil
}

func (r *Restart) plan(g *ground) ([]Step, error) {
	procs, err := g.procs()
	if err != nil {
		return nil, err
	}
	if len(procs) != 1 {
		return nil, errors.New("restart: want one process")
	}
	grace := r.Grace
	set(&grace, 2*time.Second)
	t := g.target
	return []Step{{Do: "switch", Proc: procs[0], Run: &Program{
		Args: t.Start, Env: t.Env, Dir: t.Dir, Log: t.Log, PidFile: t.PidFile, Grace: grace,
	}}}, nil
}
