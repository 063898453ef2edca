package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/conf"
)

var _ = register("disk-fill", func() Fault { return new(DiskFill) })

// DiskFill takes the room of the disk that one of the target's directories is on, in a file without a name:
// however the keeper ends, the kernel frees it.
type DiskFill struct {
	Dir  string     `yaml:"dir"`  // required; one of the target's dirs
	Size conf.Bytes `yaml:"size"` // how much to take; 0: all but keep
	Keep conf.Bytes `yaml:"keep"` // how much to leave
}

func (d *DiskFill) check(t *Target) error {
	if d.Size != 0 && d.Keep != 0 {
		return errors.New("size and keep: one of these only")
	}
	return t.hasDir(d.Dir)
}

// cost is all there may be when that is not said: the agent does not look at the disk.
func (d *DiskFill) cost(c Caps) cost {
	if d.Size == 0 {
		return cost{disk: c.Disk}
	}
	return cost{disk: d.Size}
}

func (d *DiskFill) hold(g *ground) (release func(), got string, err error) {
	f, err := openNameless(d.Dir)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	size, err := d.room(f, g.caps)
	if err != nil {
		return nil, "", err
	}
	if err := fill(f, int64(size)); err != nil {
		return nil, "", fmt.Errorf("fill the disk of %s: %w", d.Dir, err)
	}
	return func() { f.Close() }, size.String(), nil
}

// room is how much to take.
func (d *DiskFill) room(f *os.File, caps Caps) (conf.Bytes, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return 0, err
	}
	free := conf.Bytes(int64(fs.Bfree) * fs.Bsize)
	size := d.Size
	if size == 0 {
		size = free - d.Keep
	}
	shared, err := systemDisk(f)
	if err != nil {
		return 0, err
	}
	switch {
	case size <= 0:
		return 0, fmt.Errorf("keep: no more than %s are free", free)
	case size > free:
		return 0, fmt.Errorf("size: no more than %s are free", free)
	case size > caps.Disk:
		return 0, fmt.Errorf("size: %s is more than caps.disk allows (%s)", size, caps.Disk)
	case shared && free-size < caps.Spare:
		return 0, fmt.Errorf("size: %s is on the disk of the system, which has %s free, and %s of them stay free (caps.spare)", d.Dir, free, caps.Spare)
	}
	return size, nil
}

// systemDisk reports whether f is on a disk that the system itself needs.
func systemDisk(f *os.File) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, err
	}
	for _, dir := range []string{"/", "/tmp", "/var", "/var/log", "/run", "/home"} {
		var other unix.Stat_t
		if unix.Stat(dir, &other) == nil && other.Dev == st.Dev {
			return true, nil
		}
	}
	return false, nil
}

// openNameless makes a file that has no name from the beginning, or at least none soon.
func openNameless(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir), nil
	}
	f, err := os.CreateTemp(dir, ".redlane-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fill takes size bytes, less what others take at the same moment.
func fill(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	// A file system that cannot do it at once, or where the rest is in small pieces.
	block := make([]byte, 1<<20)
	for at := int64(0); at < size; {
		n, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at)
		at += int64(n)
		if errors.Is(err, unix.ENOSPC) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
