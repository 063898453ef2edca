package netfault

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespaces is where `ip netns add` keeps network namespaces by name.
const Namespaces = "/run/netns"

// ownSpace is asked by threads that are nobody's in particular. That of the process would be its first thread's,
// which may be in any namespace.
const ownSpace = "/proc/thread-self/ns/net"

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// A space is a network namespace that is held open: it stays what it is when its name is given to another.
type space struct {
	path     string
	file     *os.File
	dev, ino uint64
	own      bool // of this process: threads are in it anyway
}

// openNamed opens a namespace by name, and refuses what must not be touched.
func openNamed(dir, name string) (*space, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("want the name of a network namespace in %s, found %q", dir, name)
	}
	s, err := openSpace(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if whose, err := s.spared(); whose != "" || err != nil {
		s.close()
		if err != nil {
			return nil, fmt.Errorf("tell %q from the namespace of the host: %w", name, err)
		}
		return nil, fmt.Errorf("%q is the namespace of %s; only a mark can name traffic there", name, whose)
	}
	return s, nil
}

// spared says whose s is when it must not be touched as a whole: that of the first process, of this one, or of the
// kernel itself, which alone has settings for all. That of the first process may not be ours to look at.
func (s *space) spared() (whose string, err error) {
	for _, one := range []struct{ path, whose string }{{ownSpace, "this program"}, {"/proc/1/ns/net", "the host"}} {
		other, err := openSpace(one.path)
		if errors.Is(err, os.ErrPermission) && one.path != ownSpace {
			continue
		}
		if err != nil {
			return "", err
		}
		same := s.same(other)
		other.close()
		if same {
			return one.whose, nil
		}
	}
	err = s.do(func() error {
		switch _, err := os.Stat("/proc/sys/net/core/dev_weight"); {
		case err == nil:
			whose = "the host"
		case !errors.Is(err, os.ErrNotExist):
			return err
		}
		return nil
	})
	return whose, err
}

// openSpace opens whatever network namespace path names.
func openSpace(path string) (*space, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no network namespace %q; make it with ip netns add", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	s := &space{path: path, file: f, own: path == ownSpace}
	var st unix.Stat_t
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		s.close()
		return nil, fmt.Errorf("%q is not a network namespace", path)
	}
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		s.close()
		return nil, fmt.Errorf("open network namespace %q: %w", path, err)
	}
	s.dev, s.ino = st.Dev, st.Ino
	return s, nil
}

func (s *space) same(o *space) bool { return s.dev == o.dev && s.ino == o.ino }

func (s *space) close() {
	if s != nil {
		_ = s.file.Close() // nothing was written
	}
}

// enter moves the calling thread into s for good; the goroutine must be locked to it and end locked, so that the
// thread ends with it.
func (s *space) enter() error {
	if s.own {
		return nil
	}
	if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %q: %w", s.path, err)
	}
	return nil
}

// do runs f on a thread in s and waits for it.
func (s *space) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		err := s.enter()
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// addresses are those that others reach s by. Those of one link only are left out: neighbours need them to find
// one another, and they are the same in every namespace.
func (s *space) addresses() (all []netip.Addr, err error) {
	err = s.do(func() error {
		found, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		if err != nil {
			return fmt.Errorf("list addresses of network namespace %q: %w", s.path, err)
		}
		for _, a := range found {
			if addr, ok := netip.AddrFromSlice(a.IP); ok && a.Scope == unix.RT_SCOPE_UNIVERSE {
				if addr = addr.Unmap(); addr.IsGlobalUnicast() {
					all = append(all, addr)
				}
			}
		}
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("network namespace %q has no address", s.path)
	}
	return all, err
}
