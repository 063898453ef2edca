package capture

import (
	"net/netip"
	"strconv"

	"github.com/redlane/redlane/recorder"
	"github.com/redlane/redlane/traffic"
)

// An Assembler turns frames into exchanges. It starts nothing, reads no clock but the frames' own, and
// belongs to one goroutine. Sources that want several split the frames by a hash that both directions share.
type Assembler struct {
	cfg   Config
	tap   recorder.Tap
	ports [1 << 16 / 64]uint64 // of services; all of them when there are no services
	dec   decoder
	p     packet
	now   int64 // the latest time of a frame or tick
	conns map[key]*conn
	open  list // by when they were last looked at, oldest first
	gone  list // closed, by when they closed

	stalled []*conn // some segment of theirs waits, or is missing
	memory  int64   // bytes of heads and of segments that wait
	n       counters

	spare     []*exchange
	spareConn []*conn
	segments  segmentPool
	names     map[netip.AddrPort]string // of servers nobody named
	colors    map[string]traffic.Color
	probe     probe
	plain     []byte // memory for the plaintext of one TLS record
}

var _ Frames = (*Assembler)(nil)

// New returns an Assembler, or says what is wrong with cfg.
func New(cfg Config) (*Assembler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Assembler{
		cfg: cfg, tap: cfg.Tap, conns: make(map[key]*conn),
		names: make(map[netip.AddrPort]string), colors: make(map[string]traffic.Color),
	}
	for _, s := range cfg.Services {
		a.ports[s.Port/64] |= 1 << (s.Port % 64)
	}
	if len(cfg.Services) == 0 {
		for i := range a.ports {
			a.ports[i] = ^uint64(0)
		}
	}
	return a, nil
}

// Frame takes one packet in. It calls the tap for what becomes of it.
func (a *Assembler) Frame(f Frame) {
	a.n.Frames++
	a.n.FrameBytes += uint64(max(f.Length, len(f.Data)))
	p := &a.p
	switch a.dec.decode(&f, p) {
	case isOther:
		a.n.Other++
		return
	case isFragment:
		a.n.Fragments++
		return
	case isBroken:
		a.n.Broken++
		return
	}
	to, from := a.hasPort(p.dst.Port()), a.hasPort(p.src.Port())
	if !to && !from {
		a.n.Other++
		return
	}
	p.time, p.turn, p.safe = f.Time, false, false
	a.now = max(a.now, f.Time)
	k, swapped := keyOf(p)
	c := a.conns[k]
	if c == nil {
		if to, from = to && a.serves(p.dst), from && a.serves(p.src); !to && !from {
			a.n.Other++
			return
		}
		a.n.Segments++
		a.n.bytes.accepted += uint64(len(p.data) + p.cut)
		if !p.syn && (p.rst || len(p.data)+p.cut == 0) {
			a.n.bytes.late += uint64(len(p.data)) // nothing to be read, or the end of what was never begun
			a.cut(p.cut)
			return
		}
		c = a.meet(k, swapped, to, from)
	} else {
		a.n.Segments++
		a.n.bytes.accepted += uint64(len(p.data) + p.cut)
	}
	c.take(p, swapped)
}

// Tick lets time pass, in Unix nanoseconds of the capture: segments that did not come in time are given up,
// and silent connections forgotten.
func (a *Assembler) Tick(now int64) {
	a.now = max(a.now, now)
	left := a.stalled[:0]
	for _, c := range a.stalled {
		if c.overdue(); c.behind() || c.resetAt != 0 {
			left = append(left, c)
		} else {
			c.stalled = false
		}
	}
	clear(a.stalled[len(left):])
	a.stalled = left
	for c := a.gone.first; c != nil && a.now-c.listed >= int64(linger); c = a.gone.first {
		a.forget(c, recorder.LostUnfinished)
	}
	for c := a.open.first; c != nil && a.now-c.listed >= int64(a.cfg.Idle); c = a.open.first {
		if a.now-c.seen < int64(a.cfg.Idle) {
			a.list(c, c.seen)
			continue
		}
		a.forget(c, recorder.LostUnfinished)
	}
}

// End says that no frame follows. What is under way is lost as unfinished. The Assembler can be used again,
// as for another file.
func (a *Assembler) End() {
	for _, c := range a.stalled {
		c.stalled = false
	}
	clear(a.stalled)
	a.stalled = a.stalled[:0]
	for _, l := range []*list{&a.gone, &a.open} {
		for l.first != nil {
			a.forget(l.first, recorder.LostUnfinished)
		}
	}
}

func (a *Assembler) hasPort(p uint16) bool { return a.ports[p/64]&(1<<(p%64)) != 0 }

// serves reports whether addr is a service's.
func (a *Assembler) serves(addr netip.AddrPort) bool {
	return len(a.cfg.Services) == 0 || a.service(addr) != nil
}

func (a *Assembler) service(addr netip.AddrPort) *Service {
	for i := range a.cfg.Services {
		s := &a.cfg.Services[i]
		if s.Port == addr.Port() && (!s.Addr.IsValid() || s.Addr.Unmap() == addr.Addr().Unmap()) {
			return s
		}
	}
	return nil
}

// maxNames bounds what is remembered of servers and colours, which come from outside.
const maxNames = 1 << 12

// nameOf is what the service at addr is called by.
func (a *Assembler) nameOf(addr netip.AddrPort) string {
	if s := a.service(addr); s != nil {
		return s.Name
	}
	name, ok := a.names[addr]
	if !ok {
		host := addr.Addr().String()
		if addr.Addr().Is6() {
			host = "[" + host + "]"
		}
		name = host + ":" + strconv.Itoa(int(addr.Port()))
		if len(a.names) < maxNames {
			a.names[addr] = name
		}
	}
	return name
}
