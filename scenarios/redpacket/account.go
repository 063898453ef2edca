package redpacket

import (
	"net/http"
	"sync"
)

// account keeps the money.
type account struct {
	*node
	mu struct {
		sync.Mutex
		balances  map[string]*Balance
		credits   map[string]creditBody // by packet
		repeats   int64                 // the same credit again: taken once
		conflicts int64                 // another credit under the same packet: must never happen
	}
}

func newAccount(n *node) *account {
	a := &account{node: n}
	a.mu.balances, a.mu.credits = make(map[string]*Balance), make(map[string]creditBody)
	return a
}

func (a *account) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /credit", a.serveCredit)
	mux.HandleFunc("GET /balance", a.serveBalance)
}

func (a *account) serveCredit(w http.ResponseWriter, r *http.Request) {
	var c creditBody
	if !read(w, r, &c) {
		return
	}
	switch _, name := splitID(c.Account); {
	case !a.ours(c.Packet) || !a.ours(c.Account):
		refuse(w, http.StatusForbidden, "packet %q for account %q is not of lane %s", c.Packet, c.Account, a.cfg.Lane.Name())
	case !validUser(name) || c.Amount <= 0 || c.Amount > maxBudget:
		refuse(w, http.StatusBadRequest, "credit %d to account %q: not possible", c.Amount, c.Account)
	case !a.credit(c):
		refuse(w, http.StatusConflict, "packet %s was credited otherwise", c.Packet)
	default:
		answer(w, http.StatusOK, struct{}{})
	}
}

// credit takes the money of a packet in, once; false when the packet was credited to somebody else or with
// another amount.
func (a *account) credit(c creditBody) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if before, ok := a.mu.credits[c.Packet]; ok {
		if before != c {
			a.mu.conflicts++
			return false
		}
		a.mu.repeats++
		return true
	}
	b := a.mu.balances[c.Account]
	if b == nil {
		b = &Balance{User: c.Account}
		a.mu.balances[c.Account] = b
	}
	a.mu.credits[c.Packet] = c
	b.Balance += c.Amount
	b.Packets++
	return true
}

func (a *account) serveBalance(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("account")
	if !a.ours(id) {
		refuse(w, http.StatusForbidden, "account %q is not of lane %s", id, a.cfg.Lane.Name())
		return
	}
	a.mu.Lock()
	b := Balance{User: id}
	if known := a.mu.balances[id]; known != nil {
		b = *known
	}
	a.mu.Unlock()
	answer(w, http.StatusOK, b)
}

func (a *account) invariants() []Invariant {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := counts{"accounts": int64(len(a.mu.balances)), "credited": int64(len(a.mu.credits)), "repeats": a.mu.repeats}
	perAccount, most := make(map[string]int64), 0
	for _, credit := range a.mu.credits {
		c["money_credited"] += credit.Amount
		perAccount[credit.Account] += credit.Amount
	}
	wrong := 0
	for id, b := range a.mu.balances {
		c["money_in_accounts"] += b.Balance
		most = max(most, b.Packets)
		if lane, _ := splitID(id); b.Balance != perAccount[id] || lane != a.cfg.Lane {
			wrong++
		}
	}
	return []Invariant{
		check("money conserved", wrong == 0 && c["money_credited"] == c["money_in_accounts"], c, "%d credited = %d in accounts; %d accounts wrong", c["money_credited"], c["money_in_accounts"], wrong),
		check("packets credited once", a.mu.conflicts == 0, counts{"conflicts": a.mu.conflicts}, "%d credited; %d credited otherwise before", len(a.mu.credits), a.mu.conflicts),
		check("at most three a user", most <= maxPerUser, counts{"most": int64(most)}, "the richest of %d accounts has %d packets", len(a.mu.balances), most),
		a.laneKept(a.foreign.Load(), nil),
	}
}
