package envoy

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redlane/redlane/internal/chance"
	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/traffic"
)

// A Permit is what a good drill token says.
type Permit struct {
	Issued, Expires time.Time
}

// Config of a Dialect. Zero fields take the default named beside them.
type Config struct {
	// Verify checks the text of a drill token for a lane; its error is one line. Required. It may cost some 50 µs:
	// what it said of the last tokens is kept.
	Verify func(text string, lane traffic.Color, now time.Time) (Permit, error)
	Header string      // that carries the token; empty means x-redlane-drill
	Clock  clock.Clock // nil means clock.System
	Seed   uint64      // of the dice

	// MaxShare is the most that a percentage can ask for, from 0 to 1; 0 means 1. A request that names none is
	// struck with MaxShare.
	MaxShare float64
	// MaxActive is how many exchanges may suffer at any one time; 0 means 1000. What it holds back passes clean.
	MaxActive int64
}

// Counts of a Dialect, since it was made.
type Counts struct {
	Asked    uint64 // exchanges with headers of the dialect
	Refused  uint64 // of those, without a good token
	Struck   uint64 // of those, with at least one fault
	Overflow uint64 // of those, spared by MaxActive
	Active   int64  // struck and not yet over
}

// A Dialect strikes what asks for it.
type Dialect struct {
	cfg    Config
	halted atomic.Int64 // Unix nanoseconds of the last halt
	known  atomic.Pointer[map[question]Permit]

	asked, refused, struck, overflow atomic.Uint64
	active                           atomic.Int64
}

// question is what Verify was asked.
type question struct {
	text string
	lane traffic.Color
}

// maxKnown tokens are remembered at once; drills have a few.
const maxKnown = 64

// New returns a Dialect.
func New(cfg Config) *Dialect {
	if cfg.Clock == nil {
		cfg.Clock = clock.System
	}
	if cfg.Header == "" {
		cfg.Header = "x-redlane-drill"
	}
	if cfg.MaxShare <= 0 || cfg.MaxShare > 1 {
		cfg.MaxShare = 1
	}
	if cfg.MaxActive <= 0 {
		cfg.MaxActive = 1000
	}
	d := &Dialect{cfg: cfg}
	d.known.Store(&map[question]Permit{})
	return d
}

// Filter returns the filter, for the level of faults, below that of the leases: what a lease has struck is left
// alone.
func (d *Dialect) Filter() traffic.Filter { return (*filter)(d) }

// Halt ends what is under way. Tokens that were issued before count for nothing from now on.
func (d *Dialect) Halt() (n int) {
	d.halted.Store(d.cfg.Clock.Now().UnixNano())
	return int(d.active.Load())
}

// Counts are those until now.
func (d *Dialect) Counts() Counts {
	return Counts{d.asked.Load(), d.refused.Load(), d.struck.Load(), d.overflow.Load(), d.active.Load()}
}

type filter Dialect

// rule marks exchanges as struck by a Dialect: no lease can have this id.
const rule = "x-envoy-fault-*"

// Request implements traffic.Filter.
func (f *filter) Request(x *traffic.Exchange) traffic.Action {
	if x.Color == "" || !has(x.Request.Headers) {
		return traffic.Action{}
	}
	return (*Dialect)(f).decide(x)
}

func (d *Dialect) decide(x *traffic.Exchange) (a traffic.Action) {
	d.asked.Add(1)
	text := x.Request.Get(d.cfg.Header)
	if text != nil {
		x.SetHeader([]byte(d.cfg.Header), nil)
	}
	now := d.cfg.Clock.Now()
	permit, ok := d.permit(string(text), x.Color, now)
	if !ok {
		d.refused.Add(1)
		return a
	}
	if x.Fault.Hit {
		return a
	}
	h := new(traffic.Harm)
	kind := d.choose(read(x.Request.Headers), x.ID, &a, h)
	if kind == "" {
		return traffic.Action{}
	}
	if d.active.Add(1) > d.cfg.MaxActive {
		d.active.Add(-1)
		d.overflow.Add(1)
		return traffic.Action{}
	}
	g := &grip{d: d, began: now.UnixNano(), expires: permit.Expires}
	h.Grip = g
	if h.Shaper != nil {
		h.Shaper = &held{h.Shaper, g}
	}
	a.Harm = h
	d.struck.Add(1)
	x.Fault = traffic.Injected{Rule: rule, Kind: kind, Hit: true, Delay: a.Wait}
	if a.Wait > 0 {
		x.Flags |= traffic.FlagDelayInjected
	}
	if a.Reply.Status != 0 || h.Shaper != nil {
		x.Flags |= traffic.FlagFaultInjected
		a.Reply.Flag = traffic.FlagFaultInjected
	}
	return a
}

// choose rolls the dice for each fault asked for, and names the last that strikes.
func (d *Dialect) choose(want asked, id uint64, a *traffic.Action, h *traffic.Harm) (kind string) {
	hit := func(name string, share float64) bool {
		if !chance.Hit(stream(d.cfg.Seed, name, id), min(share, d.cfg.MaxShare)) {
			return false
		}
		kind = name
		return true
	}
	if want.rate > 0 && hit(throughput, want.rateShare) {
		h.Shaper = rate(want.rate)
	}
	if want.delay > 0 && hit(delay, want.delayShare) {
		a.Wait = want.delay
	}
	switch {
	case want.status >= 0 && hit(abort, want.abortShare):
		a.Reply = traffic.Reply{Status: want.status, Body: "fault filter abort"}
	case want.grpc >= 0 && hit(abortGRPC, want.abortGRPCShare):
		a.Reply.Status = 200 // trailers only: head and status are one
		h.Headers = []traffic.Header{
			{Name: []byte("content-type"), Value: []byte("application/grpc")},
			{Name: []byte("grpc-status"), Value: strconv.AppendInt(nil, int64(want.grpc), 10)},
			{Name: []byte("grpc-message"), Value: []byte("fault filter abort")},
		}
	}
	return kind
}

func stream(seed uint64, name string, id uint64) *rand.Rand {
	return chance.Stream(seed, prefix+name, id)
}

// permit is what a token allows in a lane, if it is good.
func (d *Dialect) permit(text string, lane traffic.Color, now time.Time) (Permit, bool) {
	if text == "" {
		return Permit{}, false
	}
	q := question{text, lane}
	p, known := (*d.known.Load())[q]
	if !known {
		var err error
		if p, err = d.cfg.Verify(text, lane, now); err != nil {
			return p, false
		}
		d.remember(q, p)
	}
	return p, now.Before(p.Expires) && p.Issued.UnixNano() >= d.halted.Load()
}

// remember keeps what was said of a good token. Two that do so at once may forget one, which only costs time.
func (d *Dialect) remember(q question, p Permit) {
	was := *d.known.Load()
	now := make(map[question]Permit, len(was)+1)
	if len(was) < maxKnown {
		for k, v := range was {
			now[k] = v
		}
	}
	now[q] = p
	d.known.Store(&now)
}

// Response implements traffic.Filter: a strike is over.
func (f *filter) Response(x *traffic.Exchange) {
	if x.Fault.Hit && x.Fault.Rule == rule {
		f.active.Add(-1)
	}
}

// A grip holds one exchange, until a halt or the end of its token.
type grip struct {
	d       *Dialect
	began   int64
	expires time.Time
}

// Over implements traffic.Grip.
func (g *grip) Over() bool {
	return g.d.halted.Load() >= g.began || !g.d.cfg.Clock.Now().Before(g.expires)
}

// rate is the Shaper of a response that comes slowly.
type rate int64

func (r rate) Shape(d traffic.Direction) (s traffic.Shape) {
	if d == traffic.Downstream {
		s.Rate = int64(r)
	}
	return s
}

// held lets bytes pass where the grip is over.
type held struct {
	traffic.Shaper
	by *grip
}

func (h *held) Shape(d traffic.Direction) traffic.Shape {
	if h.by.Over() {
		return traffic.Shape{}
	}
	return h.Shaper.Shape(d)
}
