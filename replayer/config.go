package replayer

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/internal/engine"
	"github.com/redlane/redlane/internal/engine/choose"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/replayer/rewrite"
	"github.com/redlane/redlane/replayer/shape"
	"github.com/redlane/redlane/traffic"
)

// Config of a replay. Zero fields take the default named beside them.
type Config struct {
	To   string        // required; host:port, http://host:port, https://host or unix:PATH
	Lane traffic.Color // required, unless AllowBaseline; the colour every request travels under
	Rate conf.Rate     // 0 means 1x, as recorded; not with Shape
	Seed uint64        // request ids, and so the luck of every request, follow from it
	Host string        // in place of the recorded Host header; empty keeps it

	// Before anything is sent, and again and again while it is, every address of the target confirms that
	// it is the Lane, by a ticket signed with one of TicketKeys: see package lanes/ticket. Required, unless
	// UnsafeTarget or AllowBaseline says that load may go out without.
	TicketKeys ticket.Keys
	// Ticket was handed on by a process that has asked already, see Confirm. It is checked here again, and
	// asked for anew when a third of its life is over. Empty: the target is asked.
	Ticket       string
	Service      string // that the ticket must be for; empty: any
	StrictLane   bool   // refuse a lane whose rules may let its traffic into the baseline
	UnsafeTarget bool   // send without a ticket; the Result says so

	// RunID is the value of the stress tag (lanes.StressHeader) of every request, so that whatever it leaves
	// behind can be found: 1 to 64 of A-Z, a-z, 0-9, dot, hyphen and underscore. Empty: seed-SEED, which keeps two
	// runs of the same seed the same. Give each run of its own one that no other has.
	RunID string

	Shape *shape.Shape  // when requests are due; nil means Rate
	For   time.Duration // the last due time comes before this; 0 means that recording or shape end the run

	// AllowBaseline lets a replay without a Lane go out, uncoloured, to whatever serves the baseline: in
	// a mesh, that is production. Without it such a replay is refused.
	AllowBaseline bool

	// Start is due time 0. The zero Start is as soon as enough has been read ahead.
	Start time.Time
	// Part, when set, is what this replayer has of a run that it shares with others.
	Part *Part

	Workers int // loops that send and receive; 0 means one per processor but one, which the feed needs
	// Closed sends without a schedule: each session its next request as soon as it has the answer, InFlight
	// sessions at a time. Rate is of no meaning then, and lag is 0.
	Closed   bool
	InFlight int      // sessions that wait for an answer at once; 0 means 64 when Closed, else any number
	Overload Overload // of what is due and cannot be sent; the zero Overload queues it
	// Pipeline is how many requests of a session may be on their way at once where the recording did not
	// wait for answers either. 0 means 1: each waits for the answer before it.
	Pipeline int

	// TLS is how an https target is spoken to; nil means the roots of the system, and the name in To.
	TLS *tls.Config

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

	// Routes are patterns such as /packets/{id} that requests are counted by; other paths are learned, see
	// recorder/template. MaxRoutes bounds them, patterns included; 0 means 100. The rest is "other".
	Routes    []string
	MaxRoutes int

	// Stream, when set, takes every single request. It is not closed.
	Stream Stream
	// Hurry, when it is closed after ctx is done, ends the wait for answers at once.
	Hurry <-chan struct{}

	// Rewrite says what changes between the recording and the target; nil changes nothing.
	Rewrite *rewrite.Rules

	// Progress, when set, is called once a second by one goroutine of Run, and not after Run returns.
	Progress func(Progress)

	Clock  clock.Clock // nil means clock.Precise
	Engine string      // a name of engine/choose; empty means io_uring where it works, else epoll
	Driver NewDriver   // nil means the driver that Engine names
}

// NewDriver makes the driver of a run.
type NewDriver func(loops int, newHandler engine.NewHandler) (engine.Driver, error)

// A ConfigError says what is wrong with a Config, or with the target's address: nothing was tried.
type ConfigError struct{ err error }

func (e *ConfigError) Error() string { return e.err.Error() }

// Unwrap is what is wrong.
func (e *ConfigError) Unwrap() error { return e.err }

// errNoLane is what a replay without a colour gets.
var errNoLane = errors.New("replay: no lane given: an uncoloured replay would enter the baseline, which may be production")

// ErrNoLane reports whether err is the refusal of a replay that names no lane and may not do without.
func ErrNoLane(err error) bool { return errors.Is(err, errNoLane) }

// Check says what is wrong with c, before anything is started.
func (c Config) Check() error { return c.check() }

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
	if c.Lane != "" && len(c.TicketKeys) == 0 && !c.UnsafeTarget {
		return errNoKeys
	}
	if c.RunID = cmp.Or(c.RunID, fmt.Sprintf("seed-%d", c.Seed)); !isRunID(c.RunID) {
		return fmt.Errorf("replay: run id %q: want 1 to 64 of A-Z, a-z, 0-9, dot, hyphen and underscore", c.RunID)
	}
	if strings.ContainsAny(c.Host, " \t\r\n\x00/") {
		return fmt.Errorf("replay: host %q: not a host name", c.Host)
	}
	if err := c.checkShape(); err != nil {
		return err
	}
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"workers", int64(c.Workers)}, {"timeout", int64(c.Timeout)}, {"connect timeout", int64(c.Connect)}, {"grace", int64(c.Grace)},
		{"idle connections", int64(c.MaxIdle)}, {"in flight", int64(c.InFlight)}, {"pipeline", int64(c.Pipeline)}, {"lag limit", int64(c.LagLimit)}, {"window", int64(c.Window)}, {"reorder", int64(c.Reorder)},
		{"routes", int64(c.MaxRoutes)},
	} {
		if v.n < 0 {
			return fmt.Errorf("replay: %s: must not be negative", v.name)
		}
	}
	if err := choose.Check(c.Engine); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if c.Closed && c.Overload != (Overload{}) {
		return fmt.Errorf("replay: overload %s: a closed loop sends nothing before its turn; leave one of them out", c.Overload)
	}
	c.Workers = cmp.Or(c.Workers, max(1, runtime.GOMAXPROCS(0)-1))
	c.Pipeline = cmp.Or(c.Pipeline, 1)
	if c.Closed {
		c.InFlight = cmp.Or(c.InFlight, 64)
	}
	if c.InFlight > 0 { // a loop whose share is none would never send
		c.Workers = min(c.Workers, c.InFlight)
	}
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Connect = cmp.Or(c.Connect, 3*time.Second)
	c.Grace = cmp.Or(c.Grace, 10*time.Second)
	c.MaxIdle = cmp.Or(c.MaxIdle, 10_000)
	c.LagLimit = cmp.Or(c.LagLimit, 10*time.Millisecond)
	c.Window = cmp.Or(c.Window, 256<<20)
	c.Reorder = cmp.Or(c.Reorder, 1024)
	c.MaxRoutes = min(cmp.Or(c.MaxRoutes, 100), 10_000) // a route has two bytes in an item
	if c.Clock == nil {
		c.Clock = clock.Precise
	}
	if c.Driver == nil {
		c.Driver = func(loops int, h engine.NewHandler) (engine.Driver, error) {
			d, _, err := choose.Driver(choose.Config{Name: c.Engine, Loops: loops}, h)
			return d, err
		}
	}
	return nil
}

func isRunID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= 64
}
