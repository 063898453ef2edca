package replayer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/lanes/ticket"
	"github.com/redlane/redlane/traffic"
)

// Before a run sends anything, and as long as it does, every address it sends to confirms that a lane is
// there, by a signed ticket that answers a challenge of the run's own (package lanes/ticket):
//
//	confirm ─► every address ─► run ──────────────────────────────► end
//	                              └─ watch: asks again and again ─► refused, or silent until the ticket
//	                                                                has expired: the run stops

// How often a run asks again. A lane that has been taken away ends the run within checkEvery and lostGrace,
// which together are well below a second.
const (
	checkEvery = 400 * time.Millisecond // or a third of the ticket's life
	lostGrace  = 250 * time.Millisecond // for answers still on their way, once the lane is lost
	leastWait  = 5 * time.Millisecond   // between two questions, whatever the ticket's life
)

// A TargetError says why nothing is sent to a target, or nothing more.
type TargetError struct {
	To   string // as configured
	Addr string
	Lane traffic.Color
	Why  error
	now  bool // certain: asking once more would not help
}

func (e *TargetError) Error() string {
	if e.Addr == e.To {
		return fmt.Sprintf("replay to %q: not confirmed as lane %s: %v", e.To, e.Lane, e.Why)
	}
	return fmt.Sprintf("replay to %q: not confirmed as lane %s: %s: %v", e.To, e.Lane, e.Addr, e.Why)
}

func (e *TargetError) Unwrap() error { return e.Why }

// errNoKeys is what a replay without a way to check its target gets.
var errNoKeys = errors.New("replay: no ticket key given: the target cannot be checked to be a lane")

// ErrNoKeys reports whether err is the refusal of a replay that cannot check its target.
func ErrNoKeys(err error) bool { return errors.Is(err, errNoKeys) }

// A Target is what is known of where a run's requests went.
type Target struct {
	Confirmed bool   `json:"confirmed"` // by a ticket of every address, before the run and throughout
	Service   string `json:"service,omitempty"`
	Issuer    string `json:"issuer,omitempty"`   // who signed the latest ticket
	Key       string `json:"key,omitempty"`      // id of the key that signed it
	Fallback  string `json:"fallback,omitempty"` // when the lane's traffic may use the baseline: never, absent, absent_or_unhealthy
	Tickets   uint64 `json:"tickets,omitempty"`  // good ones, of all addresses together
}

// String is the target for people, on one line.
func (t *Target) String() string {
	if !t.Confirmed {
		return "not confirmed to be a lane"
	}
	s := fmt.Sprintf("service %s confirmed by %s, key %s, %d tickets, fallback %s", t.Service, t.Issuer, t.Key, t.Tickets, t.Fallback)
	if t.Fallback != "never" {
		s += " (load may reach the baseline)"
	}
	return s
}

// A guard asks the addresses of a target for tickets. A nil guard asks nobody.
type guard struct {
	to      string
	keys    ticket.Keys
	want    ticket.Want // but for the nonce
	limit   time.Duration
	clock   clock.Clock
	connect func(ctx context.Context, addr string) (net.Conn, error)
	held    []held // one for each address
	got     atomic.Uint64
}

// held is the latest ticket of one address.
type held struct {
	addr   string
	ticket *ticket.Ticket
	text   string
	every  time.Duration // between two questions
}

// newGuard is nil where nothing is to be asked: for a target that was called unsafe, and for a run without a lane.
func newGuard(cfg *Config, to *target) *guard {
	if cfg.UnsafeTarget || cfg.Lane == "" {
		return nil
	}
	g := &guard{
		to: cfg.To, keys: cfg.TicketKeys, want: ticket.Want{Lane: cfg.Lane, Service: cfg.Service, Strict: cfg.StrictLane},
		limit: cfg.Connect, clock: cfg.Clock, connect: to.connect, held: make([]held, len(to.addrs)),
	}
	if g.clock == clock.Precise { // which would hold a processor before each question, for nothing
		g.clock = clock.System
	}
	for i, addr := range to.addrs {
		g.held[i].addr = addr
	}
	return g
}

// confirm returns when every address has a ticket: its own, or the one that was handed on.
func (g *guard) confirm(ctx context.Context, handed string) error {
	if g == nil {
		return nil
	}
	asking, ctx := errgroup.WithContext(ctx)
	for i := range g.held {
		h := &g.held[i]
		if handed != "" {
			if err := g.take(h, handed, g.want); err != nil {
				return g.refused(h.addr, err)
			}
			h.every = g.life(h) / 3 // whoever handed it on watches the lane more closely
			continue
		}
		asking.Go(func() error {
			err := g.insist(ctx, h)
			h.every = min(checkEvery, g.life(h)/3)
			return err
		})
	}
	return asking.Wait()
}

// insist asks until there is an answer that is not "try again", or for as long as connecting may take.
func (g *guard) insist(ctx context.Context, h *held) error {
	end := g.clock.Now().Add(g.limit)
	for {
		err := g.ask(ctx, h, g.limit)
		if !errors.Is(err, errBusy) || g.clock.Now().After(end) {
			return err
		}
		if g.clock.SleepUntil(ctx, g.clock.Now().Add(50*time.Millisecond)) != nil {
			return err
		}
	}
}

// watch asks again and again until ctx ends; that is no error.
func (g *guard) watch(ctx context.Context) error {
	if g == nil {
		return nil
	}
	watching, ctx := errgroup.WithContext(ctx)
	for i := range g.held {
		watching.Go(func() error { return g.keep(ctx, &g.held[i]) })
	}
	return watching.Wait()
}

// keep renews one ticket. A clear no ends it at once. An address that cannot be asked just now may be
// overloaded, and by us: the ticket it has given holds until it expires.
func (g *guard) keep(ctx context.Context, h *held) error {
	wait := h.every
	for {
		if g.clock.SleepUntil(ctx, g.clock.Now().Add(max(wait, leastWait))) != nil {
			return nil //nolint:nilerr // the run is over
		}
		err := g.ask(ctx, h, min(g.limit, max(g.life(h), leastWait)))
		var no *TargetError
		switch {
		case err == nil:
			wait = h.every
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the same
		case errors.As(err, &no) && no.now:
			return err
		case g.life(h) <= 0:
			return g.refused(h.addr, fmt.Errorf("its ticket has expired, and it gave no other: %w", errors.Unwrap(err)))
		default:
			wait = min(2*wait, g.life(h)/2)
		}
	}
}

// life is how long the ticket of h is still good.
func (g *guard) life(h *held) time.Duration {
	if h.ticket == nil {
		return 0
	}
	return h.ticket.Expires.Sub(g.clock.Now())
}

// take makes text the ticket of h if it is good.
func (g *guard) take(h *held, text string, want ticket.Want) error {
	t, err := g.keys.Verify(text, want, g.clock.Now())
	if err != nil {
		return err
	}
	h.ticket, h.text = t, text
	g.got.Add(1)
	return nil
}

func (g *guard) refused(addr string, why error) error {
	return &TargetError{To: g.to, Addr: addr, Lane: g.want.Lane, Why: why, now: true}
}

// target is what the Result says. Nobody asks any more.
func (g *guard) target() Target {
	if g == nil {
		return Target{}
	}
	last := g.held[0].ticket
	return Target{
		Confirmed: true, Service: last.Service, Issuer: last.Issuer, Key: last.KeyID, Fallback: last.Fallback.String(), Tickets: g.got.Load(),
	}
}

// lostLane is the reason why ctx ended, if that was that the target confirmed its lane no more.
func lostLane(ctx context.Context) *TargetError {
	var lost *TargetError
	errors.As(context.Cause(ctx), &lost)
	return lost
}
