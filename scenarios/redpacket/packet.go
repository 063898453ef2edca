package redpacket

import (
	"context"
	"net/http"
	"sync"
)

// packet opens seeds: what is inside goes to the account of whoever holds the seed.
type packet struct {
	*node
	amounts []int64

	mu struct {
		sync.Mutex
		opened  map[int]*opening
		repeats int64 // opened again for the same user: a repeated call
		stolen  int64 // asked for by a second user: must never happen
	}
}

// An opening is in flight until its credit is known to have arrived.
type opening struct {
	user     string
	credited bool
	settling bool // the settler has it
}

type creditBody struct {
	Packet  string `json:"packet"`
	Account string `json:"account"`
	Amount  int64  `json:"amount"`
}

func newPacket(n *node) *packet {
	p := &packet{node: n, amounts: amounts(n.cfg.Seed, n.cfg.Seeds, n.cfg.Budget)}
	p.mu.opened = make(map[int]*opening)
	return p
}

func (p *packet) routes(mux *http.ServeMux) { mux.HandleFunc("POST /open", p.serveOpen) }

func (p *packet) serveOpen(w http.ResponseWriter, r *http.Request) {
	var body openBody
	if !read(w, r, &body) {
		return
	}
	if !p.ours(body.Packet) || !p.ours(body.User) {
		refuse(w, http.StatusForbidden, "packet %q of user %q is not of lane %s", body.Packet, body.User, p.cfg.Lane.Name())
		return
	}
	seed, ok := seedOf(body.Packet, p.cfg.Seeds)
	if !ok {
		refuse(w, http.StatusNotFound, "no packet %q", body.Packet)
		return
	}
	o := p.open(seed, body.User)
	if o == nil {
		// Not a refusal: the packet is open, and whoever asked must not take it for free.
		refuse(w, http.StatusInternalServerError, "packet %s is somebody else's", body.Packet)
		return
	}
	credit := creditBody{body.Packet, body.User, p.amounts[seed]}
	got := opened{Amount: credit.Amount, Credited: p.credit(r, o, credit)}
	status := http.StatusOK
	if !got.Credited {
		status = http.StatusAccepted
	}
	answer(w, status, got)
}

// open enters the opening, once; nil when the packet is another user's.
func (p *packet) open(seed int, user string) *opening {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch o := p.mu.opened[seed]; {
	case o == nil:
		o = &opening{user: user}
		p.mu.opened[seed] = o
		return o
	case o.user == user:
		p.mu.repeats++
		return o
	default:
		p.mu.stolen++
		return nil
	}
}

// credit hands the money on, now or, when that cannot be told to have worked, in the background. The packet
// is the key: however often it is said, the account takes it once.
func (p *packet) credit(r *http.Request, o *opening, body creditBody) bool {
	header := forward(r.Header)
	try := func(ctx context.Context) bool {
		_, err := p.caller.call(ctx, "account", "POST", "/credit", body.Packet, header, body, &struct{}{})
		if err != nil {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		o.credited = true
		return true
	}
	p.mu.Lock()
	done := o.credited
	p.mu.Unlock()
	if done {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), p.cfg.Timeout)
	defer cancel()
	if try(ctx) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !o.settling {
		o.settling = true
		p.settler.later(try)
	}
	return false
}

func (p *packet) invariants() []Invariant {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := counts{"budget": p.cfg.Budget, "opened": int64(len(p.mu.opened)), "repeats": p.mu.repeats, "retries": p.settler.retries.Load()}
	for seed, amount := range p.amounts {
		switch o := p.mu.opened[seed]; {
		case o == nil:
			c["money_unopened"] += amount
		case o.credited:
			c["money_credited"] += amount
			c["credited"]++
		default:
			c["money_in_flight"] += amount
			c["in_flight"]++
		}
	}
	sum := c["money_unopened"] + c["money_credited"] + c["money_in_flight"]
	return []Invariant{
		check("money conserved", sum == p.cfg.Budget, c, "budget %d = %d unopened + %d credited + %d in flight", p.cfg.Budget, c["money_unopened"], c["money_credited"], c["money_in_flight"]),
		check("packets opened once", p.mu.stolen == 0, counts{"stolen": p.mu.stolen}, "%d opened; %d asked for by a second user", len(p.mu.opened), p.mu.stolen),
		p.laneKept(p.foreign.Load(), nil),
	}
}
