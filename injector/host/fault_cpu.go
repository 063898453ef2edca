package host

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/conf"
)

var _ = register("cpu", func() Fault { return new(CPU) })

// CPU keeps cores busy beside the target: in its cgroup, where they come out of what the cgroup may use, or
// on the whole host. Threads of the keeper work and rest in turns:
//
//	│■■■■■■■■■■■■■■■■□□□□│■■■■■■■■■■■■■■■■□□□□│   load 80%: 8 ms of processor time of every 10 ms
type CPU struct {
	Cores int        `yaml:"cores"` // how many threads work; 0 means 1
	Load  conf.Share `yaml:"load"`  // of each; 0 means 100%
}

const burnPeriod = 10 * time.Millisecond

func (c *CPU) check(t *Target) error {
	switch {
	case c.Cores < 0 || c.Cores > 1024:
		return fmt.Errorf("cores: want 1 to 1024, found %d", c.Cores)
	case !t.Host && t.Cgroup == "":
		return errors.New("target: want one named by cgroup, or a whole host: the processor cannot be kept busy for one process alone")
	}
	return nil
}

func (c *CPU) threads() int { return max(1, c.Cores) }

func (c *CPU) load() float64 {
	if c.Load == 0 {
		return 1
	}
	return float64(c.Load)
}

func (c *CPU) cost(Caps) cost { return cost{cpu: float64(c.threads()) * c.load()} }

func (c *CPU) hold(g *ground) (release func(), got string, err error) {
	if err := g.join("cpu"); err != nil {
		return nil, "", err
	}
	// One more, for who waits for the end of the lease.
	before := runtime.GOMAXPROCS(c.threads() + 1)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range c.threads() {
		wg.Go(func() { burn(&stop, float64(c.threads())*c.load()) })
	}
	return func() {
		stop.Store(true)
		wg.Wait()
		runtime.GOMAXPROCS(before)
	}, fmt.Sprintf("%d threads at %.0f%%", c.threads(), 100*c.load()), nil
}

// burn works until the whole process has had so many cores' time, again in every period. It is the process
// that is counted: the runtime's own watching costs up to 3 % of a core beside one busy thread.
func burn(stop *atomic.Bool, cores float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, used := readClock(unix.CLOCK_MONOTONIC), readClock(unix.CLOCK_PROCESS_CPUTIME_ID)
	for !stop.Load() {
		end := readClock(unix.CLOCK_MONOTONIC) + burnPeriod
		due := used + time.Duration(cores*float64(end-began))
		for !stop.Load() && readClock(unix.CLOCK_PROCESS_CPUTIME_ID) < due && readClock(unix.CLOCK_MONOTONIC) < end {
			for range 1000 {
				spin.Add(1)
			}
		}
		// What the kernel did not give in time is not made up for: a load of 80% stays below it.
		if now := readClock(unix.CLOCK_PROCESS_CPUTIME_ID); due-now > burnPeriod {
			began, used = readClock(unix.CLOCK_MONOTONIC), now
		}
		if rest := end - readClock(unix.CLOCK_MONOTONIC); rest > 0 {
			ts := unix.NsecToTimespec(int64(rest))
			_ = unix.Nanosleep(&ts, nil) // woken early, it works a little early
		}
	}
}

var spin atomic.Uint64 // work that the compiler cannot leave out

func readClock(id int32) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// join puts this process into the target's cgroup, if it has one, so that what the keeper takes comes out of
// what the target may have.
func (g *ground) join(controller string) error {
	if g.target.Cgroup == "" {
		return nil
	}
	group, err := openGroup(g.target.Cgroup, controller)
	if err != nil {
		return err
	}
	return group.join()
}
