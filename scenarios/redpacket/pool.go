package redpacket

import "sync"

// A pool hands out seeds, each once, at most three to a user.
//
//	        take            opened
//	free ─────────► held ───────────► gone
//	  ▲              │ giveBack: only when it surely was not opened
//	  └──────────────┘
type pool struct {
	mu struct {
		sync.Mutex
		free    []int          // handed out from the front, given back to the end
		holder  []string       // by seed: who holds it or has it; empty when free
		gone    []bool         // by seed: opened
		perUser map[string]int // seeds held and had
		shakes  map[string]uint64

		wins, opened, givenBack int
		twice, over             int // what must never happen: a seed handed out twice, a user over the limit
	}
}

func newPool(seeds int) *pool {
	p := new(pool)
	p.mu.free = make([]int, seeds)
	for i := range p.mu.free {
		p.mu.free[i] = i
	}
	p.mu.holder, p.mu.gone = make([]string, seeds), make([]bool, seeds)
	p.mu.perUser, p.mu.shakes = make(map[string]int), make(map[string]uint64)
	return p
}

// shake counts one more shake of user and returns how many there were before.
func (p *pool) shake(user string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.mu.shakes[user]
	p.mu.shakes[user] = n + 1
	return n
}

// take gives user a seed for a shake that won; why not otherwise.
func (p *pool) take(user string) (seed int, why string) { return p.give(user, 1) }

// give takes a seed out of the pool for so many wins.
func (p *pool) give(user string, wins int) (seed int, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.mu.perUser[user] >= maxPerUser:
		return 0, "limit"
	case len(p.mu.free) == 0:
		return 0, "pool empty"
	}
	seed, p.mu.free = p.mu.free[0], p.mu.free[1:]
	if p.mu.holder[seed] != "" || p.mu.gone[seed] {
		p.mu.twice++
	}
	p.mu.holder[seed] = user
	p.mu.wins += wins
	p.mu.perUser[user]++
	if p.mu.perUser[user] > maxPerUser {
		p.mu.over++
	}
	return seed, ""
}

// open says that the seed was opened. It may be said again.
func (p *pool) open(seed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mu.gone[seed] {
		p.mu.gone[seed] = true
		p.mu.opened++
	}
}

// giveBack makes a held seed free again.
func (p *pool) giveBack(seed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	user := p.mu.holder[seed]
	if user == "" || p.mu.gone[seed] {
		panic("BUG: a seed was given back that is not held")
	}
	p.mu.holder[seed] = ""
	p.mu.perUser[user]--
	p.mu.wins--
	p.mu.free = append(p.mu.free, seed)
	p.mu.givenBack++
}

// invariants checks the books from the ground up, not by the counters kept on the way.
func (p *pool) invariants(amounts []int64) []Invariant {
	p.mu.Lock()
	defer p.mu.Unlock()
	held, most, perUser := 0, 0, make(map[string]int, len(p.mu.perUser))
	c := counts{"seeds": int64(len(p.mu.holder)), "in_pool": int64(len(p.mu.free)), "opened": int64(p.mu.opened), "given_back": int64(p.mu.givenBack)}
	for seed, user := range p.mu.holder {
		if user == "" {
			c["money_in_pool"] += amounts[seed]
			continue
		}
		perUser[user]++
		most = max(most, perUser[user])
		if p.mu.gone[seed] {
			c["money_opened"] += amounts[seed]
		} else {
			held++
			c["money_in_flight"] += amounts[seed]
		}
	}
	c["money"] = c["money_in_pool"] + c["money_opened"] + c["money_in_flight"]
	c["in_flight"] = int64(held)
	once := check("seeds handed out once", p.mu.twice == 0 && len(p.mu.free)+held+p.mu.opened == len(p.mu.holder), c,
		"%d seeds = %d in the pool + %d in flight + %d opened; %d handed out twice", len(p.mu.holder), len(p.mu.free), held, p.mu.opened, p.mu.twice)
	three := check("at most three a user", p.mu.over == 0 && most <= maxPerUser, counts{"users": int64(len(perUser)), "most": int64(most)},
		"the luckiest of %d users has %d; %d over the limit", len(perUser), most, p.mu.over)
	win := check("one packet a win", held+p.mu.opened == p.mu.wins, counts{"wins": int64(p.mu.wins)},
		"%d wins, %d packets issued", p.mu.wins, held+p.mu.opened)
	return []Invariant{once, three, win}
}
