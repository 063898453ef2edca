package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/conf"
)

var _ = register("disk-error", func() Fault { return new(DiskError) })

// DiskError lets one of the target's directories fail: to write there says that the disk can only be read
// (EROFS), or that it is full (ENOSPC). Files that are open already are not touched.
//
//	error: read-only   what is there can be read; nothing can be written
//	error: full        an empty disk of a few pages lies over what is there, which comes back with the end
type DiskError struct {
	Dir   string     `yaml:"dir"`   // required; one of the target's dirs
	Error string     `yaml:"error"` // read-only or full; empty means read-only
	Size  conf.Bytes `yaml:"size"`  // of the disk that is soon full; 0 means 64KiB
}

const maxCover = 64 << 20

func (d *DiskError) check(t *Target) error {
	switch {
	case d.Error != "" && d.Error != "read-only" && d.Error != "full":
		return fmt.Errorf("error: want read-only or full, found %q%s", d.Error, conf.DidYouMean(d.Error, []string{"read-only", "full"}))
	case d.Size != 0 && d.Error != "full":
		return errors.New("size: only with error: full")
	case d.Size < 0 || d.Size > maxCover:
		return fmt.Errorf("size: want up to %s, found %s", conf.Bytes(maxCover), d.Size)
	}
	return t.hasDir(d.Dir)
}

func (d *DiskError) plan(g *ground) ([]Step, error) {
	s := Step{Do: "cover", Path: d.Dir, Set: "read-only", Was: "redlane-" + g.lease}
	if d.Error == "full" {
		size := d.Size
		set(&size, 64<<10)
		s.Set = fmt.Sprintf("size=%d,nr_inodes=1024", int64(size))
	}
	if g.target.Host {
		return []Step{s}, nil
	}
	procs, err := g.procs()
	if err != nil {
		return nil, err
	}
	// All processes of a target see the same files, or the first that does not says so.
	s.Proc = procs[0]
	for _, p := range procs {
		same, err := sameMounts(s.Proc.Pid, p.Pid)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, fmt.Errorf("target %s: its processes %d and %d are in different mount namespaces; make it two targets", g.target.Name, s.Proc.Pid, p.Pid)
		}
	}
	return []Step{s}, nil
}

// sameMounts reports whether two processes share a mount namespace.
func sameMounts(a, b int) (bool, error) {
	var x, y unix.Stat_t
	for pid, st := range map[int]*unix.Stat_t{a: &x, b: &y} {
		if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", pid), st); err != nil {
			return false, fmt.Errorf("look at the mounts of process %d: %w", pid, err)
		}
	}
	return a == b || x.Ino == y.Ino && x.Dev == y.Dev, nil
}
