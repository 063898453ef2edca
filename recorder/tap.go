package recorder

import "github.com/redlane/redlane/traffic"

// A tap is the filter that sees the traffic. It stands outside everything, so that the tape shows what the
// caller saw. What it knows of an exchange under way is x.Request.Body:
//
//	no memory       not ours: another service, sampled out, an opaque connection, or begun while the tap was off
//	begun           accepted, no byte of a body yet
//	noRoom          accepted, and lost for want of memory
//	anything else   accepted; memory of the body pool
//
// One service must therefore not have two taps.
type tap struct{ r *Recorder }

// The marks are told apart by their address, and from bodies by their size.
var begun, noRoom = make([]byte, 0, 1), make([]byte, 0, 1)

func isMark(b, mark []byte) bool { return cap(b) == 1 && &b[:1][0] == &mark[:1][0] }

func (t tap) Request(x *traffic.Exchange) traffic.Action {
	x.Request.Body, x.Response.Body = nil, nil
	switch r := t.r; {
	case !r.services.has(x.Dst):
	case x.Flags.Has(traffic.FlagOpaque):
		r.shard(x.Session).leaveOut()
	case r.shard(x.Session).begin(r.sampled(x.Session)):
		x.Request.Body = begun
	}
	return traffic.Action{}
}

func (t tap) RequestBody(x *traffic.Exchange, b []byte) {
	if cap(x.Request.Body) > 0 {
		t.r.keep(x, &x.Request.Body, b, traffic.FlagRequestCut)
	}
}

func (t tap) ResponseBody(x *traffic.Exchange, b []byte) {
	if cap(x.Request.Body) > 0 {
		t.r.keep(x, &x.Response.Body, b, traffic.FlagResponseCut)
	}
}

// keep appends b to a body, up to the limit of one body and within the budget of all.
func (r *Recorder) keep(x *traffic.Exchange, body *[]byte, b []byte, cut traffic.Flags) {
	if isMark(x.Request.Body, noRoom) {
		return
	}
	have := len(*body)
	if room := int(r.cfg.BodyLimit) - have; len(b) > room {
		b = b[:max(0, room)]
		x.Flags |= cut
	}
	if len(b) == 0 {
		return
	}
	if need := have + len(b); need > cap(*body) || cap(*body) == 1 {
		more := r.bodies.grow(*body, need)
		if more == nil {
			r.letGo(x)
			x.Request.Body = noRoom
			return
		}
		*body = more
	}
	*body = append(*body, b...)
}

// letGo gives the memory of both bodies back.
func (r *Recorder) letGo(x *traffic.Exchange) {
	r.bodies.release(x.Request.Body)
	r.bodies.release(x.Response.Body)
	x.Request.Body, x.Response.Body = nil, nil
}

func (t tap) Response(x *traffic.Exchange) {
	r := t.r
	if cap(x.Request.Body) == 0 {
		t.missedBeginning(x)
		return
	}
	s := r.shard(x.Session)
	switch {
	case isMark(x.Request.Body, noRoom):
		s.drop(LostMemory)
	case !r.cfg.Only.Keeps(x):
		s.filter()
	case r.broken.Load():
		s.drop(LostDisk)
	default:
		if why, halted := r.halt.reason(); halted && !r.cfg.Wait {
			r.halt.dropped.Add(1)
			s.drop(why)
			break
		}
		r.record(s, x)
	}
	r.letGo(x)
}

// Lose ends x in place of Response.
func (t tap) Lose(x *traffic.Exchange, why Reason) {
	if cap(x.Request.Body) == 0 {
		return // not ours, or sampled out: counted as that
	}
	r := t.r
	switch s := r.shard(x.Session); {
	case isMark(x.Request.Body, noRoom):
		s.drop(LostMemory)
	case !r.cfg.Only.Keeps(x):
		s.filter()
	default:
		s.drop(why)
	}
	r.letGo(x)
}

// Miss counts n exchanges that were never begun here.
func (t tap) Miss(why Reason, n uint64) {
	for range n {
		t.r.shards[0].missed(why)
	}
}

// missedBeginning counts an exchange that the tap would have accepted had it been there at its beginning.
func (t tap) missedBeginning(x *traffic.Exchange) {
	if r := t.r; r.services.has(x.Dst) && r.sampled(x.Session) && !x.Flags.Has(traffic.FlagOpaque) {
		r.shard(x.Session).missed(LostUnfinished)
	}
}

// record makes a redacted copy of x and puts it onto the shard's page.
func (r *Recorder) record(s *shard, x *traffic.Exchange) {
	sc := r.scratch.Get().(*scratch)
	y := &sc.x
	*y = *x
	if isMark(y.Request.Body, begun) {
		y.Request.Body = nil
	}
	y.Weight = x.Weight * r.weight
	r.redact.apply(sc)
	s.put(y)
	*y = traffic.Exchange{}
	r.scratch.Put(sc)
}

// A set of names; empty holds every name.
type set map[string]struct{}

func (s set) has(name string) bool {
	if len(s) == 0 {
		return true
	}
	_, ok := s[name]
	return ok
}

// sampled reports whether a session is kept. It depends on nothing but the session, the seed and the share.
func (r *Recorder) sampled(session uint64) bool {
	return r.cfg.Share == 1 || float64(mix(session^r.cfg.Seed)>>11)/(1<<53) < r.cfg.Share
}

// shard is where a session's exchanges go between two flushes, so that they stay in order.
func (r *Recorder) shard(session uint64) *shard {
	return &r.shards[mix(session)%uint64(r.active.Load())]
}

// mix is the finaliser of splitmix64: sessions may be numbered 1, 2, 3.
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
