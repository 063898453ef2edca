package replayer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/traffic"
)

// Config of a replay. Zero fields take the default named beside them.
type Config struct {
	To   string        // required; host:port, http://host:port or unix:PATH
	Lane traffic.Color // required, unless AllowBaseline; the colour every request travels under
	Rate conf.Rate     // 0 means 1x, as recorded
	Seed uint64        // request ids, and so the luck of every request, follow from it
	Host string        // in place of the recorded Host header; empty keeps it

	// AllowBaseline lets a replay without a Lane go out, uncoloured, to whatever serves the baseline: in
	// a mesh, that is production. Without it such a replay is refused.
	AllowBaseline bool

	Workers  int           // loops that send and receive; 0 means one per processor Go may use
	Timeout  time.Duration // from sending a request to the end of its response; 0 means 10s
	Connect  time.Duration // for opening a connection; 0 means 3s
	Grace    time.Duration // for answers after the last due time, or after ctx is done; 0 means 10s
	MaxIdle  int           // connections kept open for sessions with nothing to send; 0 means 10000
	LagLimit time.Duration // p99 of the replayer's own lag above which a run is invalid; 0 means 10ms

	// Window bounds the memory of requests read ahead and requests waiting for their session's turn, in
	// bytes; 0 means 256 MiB. A quarter of it is for reading ahead. A run that needs more is invalid.
	// Large requests that the target is slow to take are held twice while they are being sent.
	Window conf.Bytes
	// Reorder is how many exchanges are held back to put a recording in order; 0 means 1024.
	Reorder int

	// Progress, when set, is called once a second by one goroutine of Run, and not after Run returns.
	Progress func(Progress)

	Clock  clock.Clock // nil means clock.Precise
	Driver NewDriver   // nil means the goroutine driver
}

// NewDriver makes the driver of a run.
type NewDriver func(loops int, newHandler engine.NewHandler) (engine.Driver, error)

// errNoLane is what a replay without a colour gets.
var errNoLane = errors.New("replay: no lane given: an uncoloured replay would enter the baseline, which may be production")

// ErrNoLane reports whether err is the refusal of a replay that names no lane and may not do without.
func ErrNoLane(err error) bool { return errors.Is(err, errNoLane) }

// check fills in the defaults.
func (c *Config) check() error {
	if c.To == "" {
		return errors.New("replay: no target given (host:port)")
	}
	if c.Lane == "" && !c.AllowBaseline {
		return errNoLane
	}
	if c.Lane != "" && (!c.Lane.Valid() || c.Lane == "baseline") {
		return fmt.Errorf("replay: lane %q: not a colour (1 to %d of a-z, 0-9 and inner hyphens, and not \"baseline\")", c.Lane, traffic.MaxColor)
	}
	if strings.ContainsAny(c.Host, " \t\r\n\x00/") {
		return fmt.Errorf("replay: host %q: not a host name", c.Host)
	}
	if bad := func(f float64) bool { return f < 0 || math.IsInf(f, 0) || math.IsNaN(f) }; bad(c.Rate.Times) || bad(c.Rate.PerSecond) {
		return fmt.Errorf("replay: rate %s: want a rate above 0 such as 5x or 2000/s", c.Rate)
	}
	if c.Rate.Times > 0 && c.Rate.PerSecond > 0 {
		return errors.New("replay: rate: a multiple and a number per second at once")
	}
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"workers", int64(c.Workers)}, {"timeout", int64(c.Timeout)}, {"connect timeout", int64(c.Connect)}, {"grace", int64(c.Grace)},
		{"idle connections", int64(c.MaxIdle)}, {"lag limit", int64(c.LagLimit)}, {"window", int64(c.Window)}, {"reorder", int64(c.Reorder)},
	} {
		if v.n < 0 {
			return fmt.Errorf("replay: %s: must not be negative", v.name)
		}
	}
	if c.Rate == (conf.Rate{}) {
		c.Rate.Times = 1
	}
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Connect = cmp.Or(c.Connect, 3*time.Second)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	c.MaxIdle = cmp.Or(c.MaxIdle, 10_000)
	c.LagLimit = cmp.Or(c.LagLimit, 10*time.Millisecond)
	c.Window = cmp.Or(c.Window, 256<<20)
	c.Reorder = cmp.Or(c.Reorder, 1024)
	if c.Clock == nil {
		c.Clock = clock.Precise
	}
	if c.Driver == nil {
		c.Driver = goroutineDriver
	}
	return nil
}
