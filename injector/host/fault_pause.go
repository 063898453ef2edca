package host

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

var _ = register("pause", func() Fault { return new(Pause) })

// Pause lets the target's processes stand still: they keep their connections and answer nobody. A cgroup is
// frozen, also what it starts meanwhile; other processes are stopped as by SIGSTOP, which their parents see.
type Pause struct{}

func (*Pause) check(t *Target) error {
	if t.Host {
		return fmt.Errorf("target: %s is the whole host, which cannot be paused", t.Name)
	}
	return nil
}

func (*Pause) plan(g *ground) ([]Step, error) {
	procs, err := g.procs()
	if err != nil {
		return nil, err
	}
	if g.target.Cgroup != "" {
		return freeze(g.target.Cgroup)
	}
	var plan []Step
	for _, p := range procs {
		s, err := p.look()
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", p.Pid, err)
		}
		if s.state == 'T' {
			return nil, fmt.Errorf("process %d (%s): it is stopped already, by somebody else", p.Pid, s.name)
		}
		plan = append(plan, Step{Do: "stop", Proc: p})
	}
	return plan, nil
}

func freeze(name string) ([]Step, error) {
	group, err := openGroup(name, "")
	if err != nil {
		return nil, err
	}
	file, frozen, running := "cgroup.freeze", "1", "0"
	if group.v1 {
		file, frozen, running = "freezer.state", "FROZEN", "THAWED"
	}
	s, err := group.step(file, frozen)
	if err == nil && s.Was != running {
		err = fmt.Errorf("cgroup %s: it is frozen already, by somebody else", name)
	}
	return []Step{s}, err
}

// doStop returns when it stands still, or after a while in which it could not: it hangs in the kernel, and
// will not run when it comes out.
func doStop(s *Step) error {
	err := s.Proc.signal(unix.SIGSTOP)
	for range 200 {
		now, looked := s.Proc.look()
		if err != nil || looked != nil || now.state == 'T' {
			return errors.Join(err, looked)
		}
		ts := unix.NsecToTimespec(int64(5 * time.Millisecond))
		_ = unix.Nanosleep(&ts, nil) // woken early, it looks again early
	}
	return nil
}

func undoStop(s *Step) error { return s.Proc.signal(unix.SIGCONT) }
