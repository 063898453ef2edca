package host

import (
	"fmt"
	"os"
)

// keeperEnv marks the agent's own helpers, so that no lease hits them.
const keeperEnv = "REDLANE_AGENT_KEEPER=1"

// spare says why a process must not be hit, and nil when it may.
func spare(s *stat) error {
	switch {
	case s.Pid == 1:
		return fmt.Errorf("process 1: the first process of the machine is never hit")
	case s.kthread:
		return fmt.Errorf("process %d (%s): a thread of the kernel is never hit", s.Pid, s.name)
	case s.Pid == os.Getpid() || hasEnv(s.Pid, keeperEnv):
		return fmt.Errorf("process %d (%s): the agent's own helpers are never hit", s.Pid, s.name)
	case isParent(s.Pid):
		return fmt.Errorf("process %d (%s): the agent and what started it are never hit", s.Pid, s.name)
	}
	return nil
}

// isParent reports whether pid is a parent of this process, however far up.
func isParent(pid int) bool {
	for up := os.Getppid(); up > 0; {
		if up == pid {
			return true
		}
		s, err := readStat(up)
		if err != nil {
			return false
		}
		up = s.parent
	}
	return false
}
