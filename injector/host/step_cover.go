package host

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// doCover lays something over a directory: the directory itself, only readable, or a small disk.
func doCover(s *Step) error {
	return s.amongMounts(func() error {
		if s.Set != "read-only" {
			var st unix.Stat_t
			if err := unix.Stat(s.Path, &st); err != nil {
				return fmt.Errorf("cover %s: %w", s.Path, err)
			}
			owner := fmt.Sprintf("%s,mode=%o,uid=%d,gid=%d", s.Set, st.Mode&0o7777, st.Uid, st.Gid)
			if err := unix.Mount(s.Was, s.Path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, owner); err != nil {
				return fmt.Errorf("cover %s: %w", s.Path, err)
			}
			return nil
		}
		// A directory over itself; the second call is how a mount of this kind becomes read-only.
		if err := unix.Mount(s.Path, s.Path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cover %s: %w", s.Path, err)
		}
		if err := unix.Mount("", s.Path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return errors.Join(fmt.Errorf("cover %s: %w", s.Path, err), unix.Unmount(s.Path, unix.MNT_DETACH))
		}
		return nil
	})
}

// undoCover takes it away, if it is what lies on top.
func undoCover(s *Step) error {
	return s.amongMounts(func() error {
		ours, err := s.onTop()
		if err != nil || !ours {
			return err
		}
		if err := unix.Unmount(s.Path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("uncover %s: %w", s.Path, err)
		}
		return nil
	})
}

// onTop reports whether the last mount at the path is the step's own.
func (s *Step) onTop() (bool, error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return false, err
	}
	ours := false
	for line := range strings.Lines(string(text)) {
		mount, tail, ok := strings.Cut(line, " - ")
		f, t := strings.Fields(mount), strings.Fields(tail)
		if !ok || len(f) < 6 || len(t) < 2 || f[4] != s.mountPath() {
			continue
		}
		if s.Set == "read-only" { // the directory itself, of whatever kind its disk is
			ours = strings.HasPrefix(f[5], "ro")
		} else {
			ours = t[0] == "tmpfs" && t[1] == s.Was
		}
	}
	return ours, nil
}

// mountPath is the path as the kernel writes it there.
func (s *Step) mountPath() string {
	return strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(s.Path)
}

// amongMounts runs f where the step's process sees its files, or here when there is none.
func (s *Step) amongMounts(f func() error) error {
	if s.Proc == (Proc{}) {
		return f()
	}
	fd, err := s.Proc.open()
	if err != nil {
		return err // it ended: its mounts ended with it, or are seen by nobody who was meant
	}
	defer unix.Close(fd)
	here, err := sameMounts(os.Getpid(), s.Proc.Pid)
	if err != nil {
		return err
	}
	if here {
		return f()
	}
	return throwaway(func() error {
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNS)
		}
		if err != nil {
			return fmt.Errorf("enter the mounts of process %d: %w", s.Proc.Pid, err)
		}
		return f()
	})
}

// throwaway runs f on a thread that nothing else is run on after it.
func throwaway(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() != os.Getpid() {
			done <- f()
			return
		}
		// But the first thread does not, and /proc/self would be what it is: keep it busy and take another.
		err := throwaway(f)
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}
