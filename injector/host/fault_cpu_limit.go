package host

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var _ = register("cpu-limit", func() Fault { return new(CPULimit) })

// CPULimit lets the target's cgroup use the processor for a part of the time only: when it has had its part
// of 100 ms, it stands still until they are over.
type CPULimit struct {
	Cores float64 `yaml:"cores"` // required; 0.2 is a fifth of the time of one core
}

const cpuPeriod = 100_000 // µs; also the kernel's own default

func (c *CPULimit) check(t *Target) error {
	switch {
	case !(c.Cores > 0 && c.Cores <= 1024):
		return errors.New("cores: say how many the target may use, such as 0.2")
	case c.Cores*cpuPeriod < 1000:
		return errors.New("cores: the kernel's least is 0.01")
	}
	return needsGroup(t)
}

func needsGroup(t *Target) error {
	if t.Cgroup == "" {
		return fmt.Errorf("target: %s is not named by its cgroup, and limits are for a cgroup", t.Name)
	}
	return nil
}

func (c *CPULimit) plan(g *ground) ([]Step, error) {
	group, err := openGroup(g.target.Cgroup, "cpu")
	if err != nil {
		return nil, err
	}
	file, period := "cpu.cfs_quota_us", float64(cpuPeriod)
	if group.v1 {
		text, err := group.read("cpu.cfs_period_us")
		if err == nil {
			period, err = strconv.ParseFloat(text, 64)
		}
		if err != nil {
			return nil, err
		}
	}
	quota := strconv.Itoa(max(1000, int(c.Cores*period)))
	if !group.v1 {
		file, quota = "cpu.max", fmt.Sprintf("%s %d", quota, cpuPeriod)
	}
	s, err := group.step(file, quota)
	if err != nil {
		return nil, err
	}
	if now, limited := coresOf(s.Was, period); limited && c.Cores >= now {
		return nil, fmt.Errorf("cores: the target may use no more than %.3g as it is", now)
	}
	return []Step{s}, nil
}

// coresOf reads the limit there is: "max 100000" and "20000 100000" in v2, "-1" and "20000" in v1.
func coresOf(text string, period float64) (cores float64, limited bool) {
	quota, other, two := strings.Cut(text, " ")
	if p, err := strconv.ParseFloat(other, 64); two && err == nil {
		period = p
	}
	q, err := strconv.ParseFloat(quota, 64)
	return q / period, err == nil && q > 0 && period > 0
}
