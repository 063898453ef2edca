package rewrite

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/traffic"
)

// Config says what changes on the way from the recording to the target. The zero Config changes nothing.
type Config struct {
	Learn  Learn
	File   *File         // rules that people wrote; nil is none
	Clones int           // sessions that each recorded one becomes; 0 means 1
	Spread time.Duration // each clone starts up to so much later, always the same; 0: all at once
	Seed   uint64        // of what is made up: identities, UUIDs, the spread
	Memory conf.Bytes    // of what sessions learn, all together; 0 means 256 MiB
}

// maxClones bounds Config.Clones; identities leave room for so many.
const maxClones = 1_000_000

// Learn says where a value that the target made in place of a recorded one may be used.
type Learn uint8

const (
	LearnOff    Learn = iota // nowhere: the recorded values are sent
	LearnOn                  // in the session that it was given to
	LearnShared              // also in other sessions, when it is random enough to be told anywhere
)

var learnNames = []string{"off", "on", "shared"}

func (l Learn) String() string { return learnNames[l] }

// MarshalText is String.
func (l Learn) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the word.
func (l *Learn) UnmarshalText(text []byte) error {
	for i, name := range learnNames {
		if string(text) == name {
			*l = Learn(i)
			return nil
		}
	}
	return fmt.Errorf("want off, on or shared, found %q%s", text, conf.DidYouMean(string(text), learnNames))
}

// Rules are a Config made ready. They do not change, and many loops may use them.
type Rules struct {
	cfg      Config
	file     *File
	shared   *shared
	identity identity
	vars     []int // by extract rule: the number of its variable
	always   bool  // the file may change any request
}

// New returns the rules of cfg, nil when they would change nothing.
func New(cfg Config) (*Rules, error) {
	switch {
	case cfg.Memory < 0 || cfg.Spread < 0 || cfg.Clones < 0:
		return nil, errors.New("rewrite: memory, spread and number of clones must not be negative")
	case cfg.Clones > maxClones:
		return nil, fmt.Errorf("rewrite: %d clones; at most %d", cfg.Clones, maxClones)
	}
	cfg.Memory = cmp.Or(cfg.Memory, 256<<20)
	cfg.Clones = max(cfg.Clones, 1)
	if cfg.Learn == LearnOff && cfg.File == nil && cfg.Clones == 1 {
		return nil, nil
	}
	r := &Rules{cfg: cfg, file: cfg.File}
	if r.file == nil {
		r.file = new(File)
	}
	f := r.file
	r.identity = identity{mark: cmp.Or(f.Mark, defaultMark), clones: uint64(cfg.Clones), seed: mix(cfg.Seed)}
	r.always = len(f.Replace)+len(f.Remove)+len(f.Shift)+len(f.Sign) > 0
	var names []string
	for i := range f.Extract {
		at := slices.Index(names, f.Extract[i].Name)
		if at < 0 {
			at, names = len(names), append(names, f.Extract[i].Name)
		}
		r.vars = append(r.vars, at)
	}
	if cfg.Learn == LearnShared {
		r.shared = newShared()
	}
	return r, nil
}

// Clones is how many sessions each recorded one becomes. Without rules it is one.
func (r *Rules) Clones() int {
	if r == nil {
		return 1
	}
	return r.cfg.Clones
}

// Session is the clone's own number for a recorded session; clone 0 keeps the recorded one.
func (r *Rules) Session(session uint64, clone int) uint64 {
	if clone == 0 {
		return session
	}
	return mix(session ^ mix(r.cfg.Seed+uint64(clone)))
}

// Delay is how much later than recorded a clone of a session sends: 0 for the first, and below Config.Spread.
func (r *Rules) Delay(session uint64, clone int) time.Duration {
	if r == nil || clone == 0 || r.cfg.Spread == 0 {
		return 0
	}
	return time.Duration(mix(r.Session(session, clone)) % uint64(r.cfg.Spread))
}

// A Planner makes what items carry along. One goroutine uses it.
type Planner struct {
	rules  *Rules
	finder finder
	opener opener
}

// NewPlanner returns a planner.
func (r *Rules) NewPlanner() *Planner { return &Planner{rules: r} }

// Plan returns what the request of x carries along, in c's memory: c is nil or was Reset. Nothing of x is
// held. A nil Planner plans nothing.
func (p *Planner) Plan(c *Carry, x *traffic.Exchange, clone int) *Carry {
	if p == nil {
		return nil
	}
	if c == nil {
		c = new(Carry)
	}
	c.clone = clone
	c.start, c.seq, c.status = x.Start, x.Seq, x.Response.Status
	if x.Flags.Has(traffic.FlagRedacted) {
		for i := range x.Request.Headers {
			if h := &x.Request.Headers[i]; isMask(h.Value) {
				k := kindOfHeader(h.Name)
				c.masked = c.masked || k == headerCookies || k == headerBasic
			}
		}
	}
	r := p.rules
	for i := range r.file.Extract {
		if r.file.Extract[i].When.holds(x.Request.Method, x.Request.Target) {
			c.extract |= 1 << i
		}
	}
	if r.mapped(clone) {
		for i := range x.Request.Headers {
			c.keyed = c.keyed || r.isKey(x.Request.Headers[i].Name)
		}
	}
	p.learn(c, x.Request.Target, &x.Response)
	c.inBody = c.inBody || c.extract != 0
	return c
}

// learn notes what may be learned from the response.
func (p *Planner) learn(c *Carry, target []byte, m *traffic.Message) {
	if p.rules.cfg.Learn == LearnOff || m.Status == 0 {
		return
	}
	f := &p.finder
	f.begin(true, target)
	f.headers(m.Headers)
	for i := range m.Headers {
		c.jar = c.jar || isMask(m.Headers[i].Value) && kindOfHeader(m.Headers[i].Name) == headerCookies
	}
	heads := len(f.leaves)
	if n := len(m.Body); n > 0 && n <= maxBody && int64(n) == m.BodySize {
		if contentType := m.Get("content-type"); bodyKind(contentType, m.Body) != bodyNone { // before it is decoded
			f.body(contentType, p.opener.body(m.Headers, m.Body))
		}
	}
	c.bearer = f.bearer != nil
	c.inBody = len(f.leaves) > heads || c.bearer
	c.take(f)
}
