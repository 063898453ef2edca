package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"
)

// ShiftEnv names the file that a service of ours reads its clock's offset from.
const ShiftEnv = "REDLANE_CLOCK"

// A shift on disk, little endian. It is a lease by itself: nobody has to take it back.
//
//	┌ magic ─┬ boot ──┬ until ─┬ offset ┬ sum ───┐   8 bytes each
//	│RLCLOCK1│ of this│ CLOCK_ │ in ns  │ of the │
//	│        │ machine│MONOTONIC        │ others │
const (
	shiftMagic = "RLCLOCK1"
	shiftSize  = 40
)

// Shifted is another clock plus an offset that a file holds, for as long as the file says. A file that is
// empty, damaged, over, or from before the machine's last start shifts nothing.
type Shifted struct {
	base Clock
	file *os.File
	boot uint64
}

// OpenShifted reads the offset from the file of that name, which is made when there is none. Its Now costs
// a system call. Close it when nobody asks it any more.
func OpenShifted(base Clock, name string) (*Shifted, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open clock offset: %w", err)
	}
	return &Shifted{base: base, file: f, boot: boot}, nil
}

// Now implements Clock.
func (s *Shifted) Now() time.Time { return s.base.Now().Add(s.Offset()) }

// SleepUntil implements Clock. An offset that changes meanwhile does not change the sleep, as with the
// timers of a machine whose clock is set.
func (s *Shifted) SleepUntil(ctx context.Context, t time.Time) error {
	return s.base.SleepUntil(ctx, t.Add(-s.Offset()))
}

// Offset is how far the clock is off now.
func (s *Shifted) Offset() time.Duration {
	var b [shiftSize]byte
	for range 2 { // a second time when it was read in the middle of a write
		if n, _ := s.file.ReadAt(b[:], 0); n != shiftSize {
			return 0
		}
		if binary.LittleEndian.Uint64(b[32:]) != xxhash.Sum64(b[:32]) {
			continue
		}
		if string(b[:8]) != shiftMagic || binary.LittleEndian.Uint64(b[8:]) != s.boot || int64(binary.LittleEndian.Uint64(b[16:])) <= monotonic() {
			return 0
		}
		return time.Duration(binary.LittleEndian.Uint64(b[24:]))
	}
	return 0
}

// Close closes the file.
func (s *Shifted) Close() error { return s.file.Close() }

// WriteShift puts the clock of whoever reads the file off by offset, from now on for at most length. The
// file must be there: its reader makes it.
func WriteShift(name string, offset, length time.Duration) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("write clock offset: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > shiftSize {
		return fmt.Errorf("write clock offset: %s: not a file that holds one", name)
	}
	b := make([]byte, 0, shiftSize)
	b = append(b, shiftMagic...)
	b = binary.LittleEndian.AppendUint64(b, boot)
	b = binary.LittleEndian.AppendUint64(b, uint64(monotonic()+int64(length)))
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
	if _, err := f.WriteAt(b, 0); err != nil {
		return fmt.Errorf("write clock offset: %w", err)
	}
	return nil
}

// monotonic is the kernel's clock that all processes share and nobody sets.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 1<<63 - 1 // everything is over
	}
	return ts.Nano()
}

func bootID() (uint64, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0, fmt.Errorf("name this start of the machine: %w", err)
	}
	id := strings.TrimSpace(string(text))
	if id == "" {
		return 0, errors.New("name this start of the machine: it has no name")
	}
	return xxhash.Sum64String(id), nil
}
