package host

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

var _ = register("fds", func() Fault { return new(FDs) })

// FDs leaves the target's processes no more file descriptors than they have, but for a few: to accept or open
// fails with EMFILE. It is their soft limit that is lowered, so that it can always be raised again.
type FDs struct {
	Spare uint64 `yaml:"spare"` // how many more they may open
}

func (f *FDs) check(t *Target) error {
	if f.Spare > 1<<20 {
		return fmt.Errorf("spare: at most %d", 1<<20)
	}
	if t.Host {
		return fmt.Errorf("target: %s is the whole host; name processes", t.Name)
	}
	return nil
}

func (f *FDs) plan(g *ground) ([]Step, error) {
	procs, err := g.procs()
	if err != nil {
		return nil, err
	}
	var plan []Step
	for _, p := range procs {
		var limit unix.Rlimit
		if err := unix.Prlimit(p.Pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
			return nil, fmt.Errorf("read the limit of process %d: %w", p.Pid, err)
		}
		to, err := limitFor(p.Pid, f.Spare)
		if err != nil {
			return nil, err
		}
		if to >= limit.Cur {
			return nil, fmt.Errorf("spare: process %d has less room than that by its limit of %d", p.Pid, limit.Cur)
		}
		plan = append(plan, Step{Do: "limit", Proc: p, Set: strconv.FormatUint(to, 10), Was: strconv.FormatUint(limit.Cur, 10)})
	}
	return plan, nil
}

// limitFor is the limit under which a process can open so many more. A limit bounds the numbers of
// descriptors, and the lowest free one is taken: it stands behind that many gaps.
func limitFor(pid int, spare uint64) (uint64, error) {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("count the files of process %d: %w", pid, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("count the files of process %d: %w", pid, err)
	}
	taken := make(map[string]bool, len(names))
	for _, name := range names {
		taken[name] = true
	}
	for number := uint64(0); ; number++ {
		if taken[strconv.FormatUint(number, 10)] {
			continue
		}
		if spare == 0 {
			return number, nil
		}
		spare--
	}
}

func doLimit(s *Step) error { return s.setLimit(s.Was, s.Set) }

func undoLimit(s *Step) error { return s.setLimit(s.Set, s.Was) }

// setLimit changes the soft limit from one value to another, and leaves any third one alone.
func (s *Step) setLimit(from, to string) error {
	cur, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return err
	}
	next, err := strconv.ParseUint(to, 10, 64)
	if err != nil {
		return err
	}
	fd, err := s.Proc.open() // holds the number until it is used
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var limit unix.Rlimit
	if err := unix.Prlimit(s.Proc.Pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		return fmt.Errorf("read the limit of process %d: %w", s.Proc.Pid, err)
	}
	if limit.Cur != cur {
		return nil
	}
	limit.Cur = min(next, limit.Max)
	if err := unix.Prlimit(s.Proc.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		return fmt.Errorf("set the limit of process %d: %w", s.Proc.Pid, err)
	}
	return nil
}
