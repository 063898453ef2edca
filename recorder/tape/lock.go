package tape

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A lock keeps a second writer away and tells readers in other processes how far the tape is durable. The
// kernel drops it when its holder dies.
type lock struct{ f *os.File }

// ErrInUse says that another writer holds the tape.
var ErrInUse = errors.New("another writer holds it")

func takeLock(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	// Open file description locks exclude each other within one process too.
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: 0, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lk); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &lock{f}, nil
}

// publish writes the sequence of the first block that is not durable. It need not reach the disk: it
// counts only while the lock is held.
func (l *lock) publish(block uint64) error {
	var b [21]byte
	p := fmt.Appendf(b[:0], "%020d\n", block)
	_, err := l.f.WriteAt(p, 0)
	return err
}

func (l *lock) release() error { return l.f.Close() }

// readLock returns the first block that must not be read yet, if a writer holds the tape.
func readLock(path string) (limit uint64, live bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return math.MaxUint64, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	lk := unix.Flock_t{Type: unix.F_RDLCK, Whence: 0, Start: 0, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lk); err != nil {
		return 0, false, fmt.Errorf("ask for lock %s: %w", path, err)
	}
	if lk.Type == unix.F_UNLCK {
		return math.MaxUint64, false, nil
	}
	b := make([]byte, 21)
	n, _ := f.ReadAt(b, 0)
	limit, err = strconv.ParseUint(strings.TrimSpace(string(b[:n])), 10, 64)
	if err != nil {
		return 0, true, nil // the writer has only just come
	}
	return limit, true, nil
}
