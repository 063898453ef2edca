package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/redlane/redlane/internal/conf"
)

var _ = register("memory-limit", func() Fault { return new(MemoryLimit) })

// MemoryLimit lowers what memory the target's cgroup may use. Above it the kernel takes pages back and slows
// the target down; with kill it ends a process of it instead when nothing can be taken back.
type MemoryLimit struct {
	Limit conf.Bytes `yaml:"limit"` // required
	Kill  bool       `yaml:"kill"`  // a hard limit; the only one there is in cgroup v1
}

func (m *MemoryLimit) check(t *Target) error {
	if m.Limit < conf.Bytes(os.Getpagesize()) {
		return errors.New("limit: say how much the target may use, such as 64MiB")
	}
	return needsGroup(t)
}

func (m *MemoryLimit) plan(g *ground) ([]Step, error) {
	group, err := openGroup(g.target.Cgroup, "memory")
	if err != nil {
		return nil, err
	}
	page := conf.Bytes(os.Getpagesize())
	to := strconv.FormatInt(int64(m.Limit/page*page), 10) // as the kernel says it back
	file := "memory.high"
	switch {
	case group.v1 && !m.Kill:
		return nil, fmt.Errorf("kill: cgroup %s is of version 1, which only has limits that kill; say kill: true", g.target.Cgroup)
	case group.v1:
		file = "memory.limit_in_bytes"
	case m.Kill:
		file = "memory.max"
	}
	s, err := group.step(file, to)
	if err != nil {
		return nil, err
	}
	if was, err := strconv.ParseInt(s.Was, 10, 64); err == nil && conf.Bytes(was) <= m.Limit { // not "max"
		return nil, fmt.Errorf("limit: the target may use no more than %s as it is", conf.Bytes(was))
	}
	return []Step{s}, nil
}
