package socket

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Held reports whether err is that of a write to a connection whose peer is on this machine and reads too
// slowly (internal/sockmap), or for which the machine has no memory just now. Nothing of what it says was
// written, and no event tells when there is room again. Try again after FirstHold, twice that when it says so
// again, and so on up to MostHold.
func Held(err error) bool { return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOMEM) }

// A reader on the same machine empties a quarter of a megabyte in about 50 us; one that is slow for 10 ms
// will not mind another 10.
const (
	FirstHold = 100 * time.Microsecond
	MostHold  = 10 * time.Millisecond
)
