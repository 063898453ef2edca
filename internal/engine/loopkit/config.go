package loopkit

import (
	"cmp"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// Config of a driver. Zero fields take the default named beside them.
type Config struct {
	Loops  int           // 0 means one per processor Go may use (GOMAXPROCS)
	Linger time.Duration // how long a closed connection may go on without taking a queued byte; 0 means 30s
	Logger *slog.Logger  // nil logs nothing

	// Mixed is read atomically. Once it is not 0, a read from a TCP socket that leaves room in the buffer
	// may not have taken everything (internal/sockmap). nil: it always has.
	Mixed *uint64
}

// Check fills in the defaults.
func (c *Config) Check() error {
	if c.Loops < 0 {
		return fmt.Errorf("engine: %d loops: must not be negative", c.Loops)
	}
	if c.Linger < 0 {
		return fmt.Errorf("engine: linger %s: must not be negative", c.Linger)
	}
	c.Loops = cmp.Or(c.Loops, runtime.GOMAXPROCS(0))
	c.Linger = cmp.Or(c.Linger, 30*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Stats is what a driver has done since it was made. The fields are read one after the other, so that
// they may disagree by what happened meanwhile.
type Stats struct {
	Accepted     uint64
	AcceptErrors uint64 // times that accept did not work, each followed by a pause
	Dialled      uint64
	DialErrors   uint64 // refused and timed out, not those the Handler gave up
	Open         int64  // connections a Handler knows now, those still being dialled not counted
	In, Out      uint64 // bytes handed to OnData; bytes taken by the kernel
}

// Counters are what Stats is read from. They change once for a connection; bytes are counted by each loop
// for itself.
type Counters struct {
	Accepted, AcceptErrors, Dialled, DialErrors atomic.Uint64
	Open                                        atomic.Int64
}

// Stats reads the counters.
func (c *Counters) Stats() Stats {
	return Stats{
		Accepted: c.Accepted.Load(), AcceptErrors: c.AcceptErrors.Load(),
		Dialled: c.Dialled.Load(), DialErrors: c.DialErrors.Load(),
		Open: c.Open.Load(),
	}
}
