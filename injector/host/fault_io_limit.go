package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/conf"
)

var _ = register("io-limit", func() Fault { return new(IOLimit) })

// IOLimit slows the target's cgroup down on the disk that one of its directories is on. What goes through the
// page cache is slowed when it is written back, which cgroup v1 does not charge to who wrote it.
type IOLimit struct {
	Dir      string     `yaml:"dir"`       // required; one of the target's dirs
	Read     conf.Bytes `yaml:"read"`      // a second; 0: as fast as ever
	Write    conf.Bytes `yaml:"write"`     // a second
	ReadOps  uint64     `yaml:"read_ops"`  // a second
	WriteOps uint64     `yaml:"write_ops"` // a second
}

func (l *IOLimit) check(t *Target) error {
	if l.Read == 0 && l.Write == 0 && l.ReadOps == 0 && l.WriteOps == 0 {
		return errors.New("read: say how slow, with read, write, read_ops or write_ops")
	}
	if l.ReadOps > 1<<32 || l.WriteOps > 1<<32 {
		return errors.New("read_ops and write_ops: less than 2^32")
	}
	if err := needsGroup(t); err != nil {
		return err
	}
	return t.hasDir(l.Dir)
}

func (l *IOLimit) plan(g *ground) ([]Step, error) {
	device, err := diskOf(l.Dir)
	if err != nil {
		return nil, err
	}
	return l.steps(g.target.Cgroup, device)
}

// steps slow a cgroup down on a whole disk, named as major:minor.
func (l *IOLimit) steps(cgroup, device string) ([]Step, error) {
	group, err := openGroup(cgroup, "io")
	if err != nil {
		return nil, err
	}
	if group.v1 {
		return l.planV1(group, device)
	}
	s := Step{Do: "write", Path: filepath.Join(group.dir, "io.max"), Key: device}
	if s.Was, err = s.current(); err != nil {
		return nil, err
	}
	if s.Was == "" {
		s.Was = device + " rbps=max wbps=max riops=max wiops=max"
	}
	max := func(n uint64) string { // as the kernel says it back
		if n == 0 {
			return "max"
		}
		return strconv.FormatUint(n, 10)
	}
	s.Set = fmt.Sprintf("%s rbps=%s wbps=%s riops=%s wiops=%s", device, max(uint64(l.Read)), max(uint64(l.Write)), max(l.ReadOps), max(l.WriteOps))
	return []Step{s}, nil
}

// planV1 writes one file for each number; 0 takes a limit away.
func (l *IOLimit) planV1(group *group, device string) (plan []Step, err error) {
	for _, one := range []struct {
		file string
		n    uint64
	}{
		{"blkio.throttle.read_bps_device", uint64(l.Read)}, {"blkio.throttle.write_bps_device", uint64(l.Write)},
		{"blkio.throttle.read_iops_device", l.ReadOps}, {"blkio.throttle.write_iops_device", l.WriteOps},
	} {
		if one.n == 0 {
			continue
		}
		s := Step{Do: "write", Path: filepath.Join(group.dir, one.file), Key: device, Set: fmt.Sprintf("%s %d", device, one.n)}
		if s.Was, err = s.current(); err != nil {
			return nil, err
		}
		if s.Was == "" {
			s.Was = device + " 0"
		}
		plan = append(plan, s)
	}
	return plan, nil
}

// diskOf is the whole disk that a directory is on, as major:minor: only those can be slowed down.
func diskOf(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", fmt.Errorf("dir: %s: %w", dir, err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	at, err := filepath.EvalSymlinks("/sys/dev/block/" + device)
	if err != nil {
		return "", fmt.Errorf("dir: %s is on no disk of its own (device %s), which cannot be slowed down", dir, device)
	}
	switch _, err := os.Stat(filepath.Join(at, "partition")); {
	case notThere(err):
		return device, nil
	case err != nil:
		return "", err
	}
	whole, err := os.ReadFile(filepath.Join(filepath.Dir(at), "dev"))
	return strings.TrimSpace(string(whole)), err
}
