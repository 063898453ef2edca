package recorder

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/recorder/tape"
	"github.com/redlane/redlane/traffic"
)

// Config of a Recorder. Zero fields take the default named beside them.
type Config struct {
	To       string   // required: tape://DIR or a directory, as for tape.Create
	Services []string // called services to record; none means all. Others are not in the ledger
	Only     Only     // of these, what to keep; the rest is counted as filtered
	Share    float64  // share of sessions to keep, above 0 to 1; 0 means 1
	Seed     uint64   // which sessions those are
	Redact   Redaction

	BodyLimit  int64 // longest body kept in bytes, 16 MiB; longer ones are cut and flagged
	BodyMemory int64 // bodies of exchanges under way together, 256 MiB or eight times BodyLimit
	PageMemory int64 // encoded exchanges that wait for the disk, 64 MiB

	// Wait has the tap wait for room on the way to the disk where it would drop. It is for files, never for
	// traffic. Bodies still have to fit BodyMemory.
	Wait bool

	FlushEvery time.Duration // how long an exchange may wait for its page to fill, 100ms; it is synced at once then
	Writers    int           // goroutines that compress; half the cores, at least 1, at most 4
	Shards     int           // pages being filled at a time, one per core; with little traffic one

	Tape  tape.Config // codec, segments, group commit, quota, what is kept
	Clock clock.Clock // clock.System

	// Logf is told when recording stops for want of room, and when it goes on. nil keeps quiet.
	Logf func(format string, arg ...any)
}

// Only selects exchanges of the recorded services. Empty fields select everything.
type Only struct {
	Lanes  []string // lanes that served, "baseline" for the baseline
	Colors []string // colours that requests travelled under
	Paths  []string // beginnings of the request target
}

// Keeps reports whether x is selected.
func (o *Only) Keeps(x *traffic.Exchange) bool {
	if len(o.Lanes) > 0 && !slices.Contains(o.Lanes, x.Lane.Name()) {
		return false
	}
	if len(o.Colors) > 0 && !slices.Contains(o.Colors, string(x.Color)) {
		return false
	}
	if len(o.Paths) == 0 {
		return true
	}
	for _, p := range o.Paths {
		if len(x.Request.Target) >= len(p) && string(x.Request.Target[:len(p)]) == p {
			return true
		}
	}
	return false
}

func (c *Config) check() error {
	if c.To == "" {
		return errors.New("no place to record to (want tape://DIR)")
	}
	if c.Share < 0 || c.Share > 1 {
		return fmt.Errorf("share %v of sessions is not between 0 and 1", c.Share)
	}
	if c.Share == 0 {
		c.Share = 1
	}
	for _, l := range c.Only.Lanes {
		if l != "baseline" && !traffic.Color(l).Valid() {
			return fmt.Errorf("%q is no lane (a-z, 0-9 and inner hyphens)", l)
		}
	}
	for _, color := range c.Only.Colors {
		if !traffic.Color(color).Valid() {
			return fmt.Errorf("%q is no colour (a-z, 0-9 and inner hyphens)", color)
		}
	}
	if c.BodyLimit == 0 {
		c.BodyLimit = 16 << 20
	}
	if c.BodyMemory == 0 {
		c.BodyMemory = max(256<<20, 8*c.BodyLimit)
	}
	if c.PageMemory == 0 {
		c.PageMemory = 64 << 20
	}
	if c.FlushEvery == 0 {
		c.FlushEvery = 100 * time.Millisecond
	}
	if c.Writers == 0 {
		c.Writers = min(4, max(1, runtime.GOMAXPROCS(0)/2))
	}
	if c.Shards == 0 {
		c.Shards = runtime.GOMAXPROCS(0)
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	switch {
	case c.BodyLimit < 0 || c.BodyMemory < 0 || c.PageMemory < 0 || c.FlushEvery < 0 || c.Writers < 0 || c.Shards < 0:
		return errors.New("negative size, time or number")
	case c.BodyLimit > maxBodyLimit:
		return fmt.Errorf("body limit of %d bytes; a tape takes at most %d", c.BodyLimit, maxBodyLimit)
	}
	return c.Redact.check()
}

// maxBodyLimit lets two bodies and their headers fit into one record.
const maxBodyLimit = tape.MaxRecord/2 - 1<<20

func lowerAll(in []string) []string {
	out := make([]string, len(in))
	for i := range in {
		out[i] = strings.ToLower(in[i])
	}
	return out
}
