package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/internal/clock"
)

var _ = register("clock", func() Fault { return new(Clock) })

// Clock puts the clock of a service of ours off. Linux has no such thing for a single process: the service
// looks into a file, and what stands there ends by itself when nobody writes it anew.
type Clock struct {
	Offset time.Duration `yaml:"offset"` // required; below 0 is behind
}

const maxOffset = 10 * 366 * 24 * time.Hour

func (c *Clock) check(t *Target) error {
	switch {
	case c.Offset == 0:
		return errors.New("offset: say how far, such as 90s or -1h")
	case c.Offset < -maxOffset || c.Offset > maxOffset:
		return errors.New("offset: at most ten years")
	case t.Clock == "":
		return fmt.Errorf("target: %s has no clock: name the file it was started with as %s; only services of ours look there", t.Name, clock.ShiftEnv)
	}
	return nil
}

func (c *Clock) plan(g *ground) ([]Step, error) {
	return []Step{{Do: "clock", Path: g.target.Clock, Set: c.Offset.String()}}, nil
}

// hold writes the offset anew before what is written ends.
func (c *Clock) hold(g *ground) (release func(), got string, err error) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(Silence / 4)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_ = clock.WriteShift(g.target.Clock, c.Offset, Silence) // a file that went takes the fault with it
			}
		}
	}()
	return func() { close(stop); <-stopped }, c.Offset.String(), nil
}

func doClock(s *Step) error {
	offset, err := time.ParseDuration(s.Set)
	if err != nil {
		return err
	}
	return clock.WriteShift(s.Path, offset, Silence)
}

func undoClock(s *Step) error {
	if err := clock.WriteShift(s.Path, 0, 0); err != nil && !notThere(err) {
		return err
	}
	return nil
}
