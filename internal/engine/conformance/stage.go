package conformance

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redlane/redlane/internal/engine"
)

// A stage is where a script is played.
type stage struct {
	*rig
	hangs, none string // addresses to dial in vain
	tcp, local  string // where the driver listens
	mu          sync.Mutex
	pairs       []*pair
	stopping    bool
}

func (s *suite) play(t *testing.T, script script, hangs, none string) {
	st := &stage{hangs: hangs, none: none}
	st.rig = s.newRig(t, st.hooks)
	st.run()
	defer st.leave()
	st.tcp = st.listen(0)
	for _, step := range script.steps {
		if t.Failed() {
			break
		}
		st.step(step)
	}
	if script.settle && !t.Failed() {
		st.settle()
	}
}

// leave ends Run, wherever the connections are, and then the peers.
func (st *stage) leave() {
	st.mu.Lock()
	st.stopping = true
	st.mu.Unlock()
	st.stop(nil)
	for _, p := range st.pairs {
		if p.plug == nil && p.line != nil {
			p.plug = p.line.accept()
		}
		if p.plug != nil {
			p.plug.close(false)
		}
		if p.line != nil {
			p.line.close()
		}
	}
}

// complain fails the test. mu is held.
func (st *stage) complain(p *pair, wrong string) {
	if wrong != "" {
		st.t.Errorf("connection %d: %s: %d of the peer's bytes handed over, %d given to Send, %+v", p.id, wrong, p.got, p.sent, p.plug)
	}
}

// hooks judge each event, and do in it what the script left for it.
func (st *stage) hooks(m *machine) hooks {
	at := func(h engine.Handle, judge func(p *pair) string) {
		st.mu.Lock()
		defer st.mu.Unlock()
		for _, p := range st.pairs {
			if p.m != m || p.h != h {
				continue
			}
			st.complain(p, judge(p))
			if len(p.later) > 0 {
				step := p.later[0]
				p.later = p.later[1:]
				p.act(step)
			}
			return
		}
	}
	fine := func(*pair) string { return "" }
	return hooks{
		accept: func(h engine.Handle, tag int, from, _ netip.AddrPort) {
			st.accepted(m, h, tag, from)
			at(h, fine)
		},
		dial:     func(h engine.Handle) { at(h, func(p *pair) string { p.open = true; return "" }) },
		data:     func(h engine.Handle, b []byte) { at(h, func(p *pair) string { return p.judgeData(b) }) },
		eof:      func(h engine.Handle) { at(h, (*pair).judgeEOF) },
		writable: func(h engine.Handle) { at(h, fine) },
		timer:    func(h engine.Handle) { at(h, fine) },
		closed: func(h engine.Handle, _ error) {
			at(h, func(p *pair) string { return p.judgeClosed(st.stopping) })
		},
	}
}

// accepted finds whose connection it is. A driver cannot always name a peer that has already gone: then
// nothing is known of the connection but what the machine checks.
func (st *stage) accepted(m *machine, h engine.Handle, tag int, from netip.AddrPort) {
	st.mu.Lock()
	defer st.mu.Unlock()
	gone := false
	for _, p := range st.pairs {
		if p.m != nil || p.plug == nil || p.plug.local != (tag == 1) {
			continue
		}
		gone = gone || p.plug.closed
		if p.plug.local || p.from == from {
			p.m, p.h, p.open = m, h, true
			return
		}
	}
	if !gone {
		st.t.Errorf("OnAccept from %s, which has not connected", from)
	}
}

func (st *stage) step(s step) {
	switch s.do {
	case peerOpen:
		st.connect(s)
		return
	case pass:
		if s.much%4 == 0 {
			st.wait()
		} else {
			time.Sleep(time.Duration(s.much) * 10 * time.Microsecond)
		}
		return
	case doDial:
		st.dial(s)
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.pairs) == 0 {
		return
	}
	p := st.pairs[s.on%len(st.pairs)]
	if s.do < doDial {
		st.peer(p, s)
		return
	}
	if s.next || p.m == nil {
		p.later = append(p.later, s)
		return
	}
	st.driver.Post(p.m.index, func(_ engine.Loop, h engine.Handler) {
		defer h.(*machine).enter("Post")()
		st.mu.Lock()
		defer st.mu.Unlock()
		p.act(s)
	})
}

// connect has a peer open a connection.
func (st *stage) connect(s step) {
	if len(st.pairs) == connsMax {
		return
	}
	addr, local := st.tcp, s.much%8 >= 4
	if local {
		if st.local == "" {
			st.local = "unix:" + st.t.TempDir() + "/s"
			_, err := st.driver.Listen(engine.Bind{Addr: st.local, Tag: 1})
			require.NoError(st.t, err)
		}
		addr = st.local
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	p := &pair{id: len(st.pairs)}
	var err error
	p.plug, p.from, err = connectPlug(addr, s.much%2 == 1)
	require.NoError(st.t, err)
	st.pairs = append(st.pairs, p)
	if local { // they have no address to be told apart by: one at a time
		st.mu.Unlock()
		st.wait()
		st.mu.Lock()
	}
}

// dial has the Handler open a connection.
func (st *stage) dial(s step) {
	if len(st.pairs) == connsMax {
		return
	}
	p := &pair{id: len(st.pairs), fails: true}
	addr, timeout := "", patience
	switch s.much % 8 {
	case 4:
		addr = st.none
	case 5:
		addr = "nowhere"
	case 6:
		addr, timeout = st.hangs, time.Duration(1+s.much/8)*time.Millisecond/8
	case 7:
		addr = "unix:/nowhere/at/all"
	default:
		line, a, err := listenPlug(s.much%2 == 1)
		require.NoError(st.t, err)
		p.line, addr, p.fails = &line, a, false
	}
	st.post(s.on%st.driver.Loops(), func(m *machine) {
		st.mu.Lock()
		defer st.mu.Unlock()
		p.m, p.h = m, m.Dial(addr, timeout)
		st.pairs = append(st.pairs, p)
		if p.h == 0 {
			st.complain(p, "Dial returned no handle")
		}
	})
}

// peer does what the peer does. mu is held, so that no event can tell of it too early.
func (st *stage) peer(p *pair, s step) {
	st.arrive(p)
	if p.plug == nil {
		return
	}
	was := p.plug.outcome
	switch s.do {
	case peerSend:
		p.plug.send(p.in(), s.bytes())
	case peerRead:
		p.plug.read(s.bytes(), func(b []byte) { st.complain(p, p.judgeRead(b)) })
	case peerFIN:
		p.plug.shut()
	case peerClose, peerReset:
		p.plug.close(s.do == peerReset)
	}
	if p.plug.outcome != was {
		st.complain(p, p.judgeEnd(st.stopping))
	}
}

// arrive looks whether a dial has arrived.
func (st *stage) arrive(p *pair) {
	if p.plug == nil && p.line != nil {
		p.plug = p.line.accept()
	}
}

// sentMax bounds what one connection sends, and so the time that a script takes.
const sentMax = 6 << 20

// act is what the Handler does, in an event. Calls for connections that are over are made too: they must
// do nothing.
func (p *pair) act(s step) {
	live := p.live()
	switch s.do {
	case doSend:
		for n := min(s.bytes(), sentMax-p.sent); n > 0; {
			b := pattern(p.out(), p.sent, n)
			p.m.Send(p.h, b)
			if !live || p.shut {
				break
			}
			p.sent += len(b)
			n -= len(b)
		}
	case doCloseWrite:
		p.shut = p.shut || live
		p.m.CloseWrite(p.h)
	case doClose, doReset:
		if live {
			p.over, p.reset, p.givenUp = true, s.do == doReset, !p.open
		}
		if s.do == doReset {
			p.m.Reset(p.h)
		} else {
			p.m.Close(p.h)
		}
	case doPause, doResume:
		p.paused = s.do == doPause
		p.wasQuiet = p.wasQuiet || p.paused
		if p.paused {
			p.m.Pause(p.h)
		} else {
			p.m.Resume(p.h)
		}
	case doArm:
		p.m.Arm(p.h, s.after())
	}
}

// wait returns when who connected is accepted and the loops have done what was asked so far.
func (st *stage) wait() {
	eventually(st.t, "OnAccept", func() bool {
		st.mu.Lock()
		defer st.mu.Unlock()
		for _, p := range st.pairs {
			if p.m == nil && !p.plug.closed {
				return false
			}
		}
		return true
	})
	for i := range st.driver.Loops() {
		st.post(i, func(*machine) {})
	}
}

// settle has everybody read and wait, and requires that all that was begun comes to its end.
func (st *stage) settle() {
	st.wait()
	st.mu.Lock()
	for _, p := range st.pairs {
		p.later = nil
	}
	st.mu.Unlock()
	for i := range st.driver.Loops() {
		st.post(i, func(m *machine) {
			st.mu.Lock()
			defer st.mu.Unlock()
			for _, p := range st.pairs {
				if p.m == m {
					p.act(step{do: doResume})
				}
			}
		})
	}
	for end := time.Now().Add(soon); !st.t.Failed(); time.Sleep(200 * time.Microsecond) {
		missing := st.missing()
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			st.t.Errorf("still missing after %s: %s\n%s", soon, missing, stacks())
		}
	}
}

// missing has the peers read, and says what must still happen.
func (st *stage) missing() (what string) {
	st.mu.Lock()
	for _, p := range st.pairs {
		st.peer(p, step{do: peerRead, much: 7})
		if m := p.missing(); m != "" {
			what = fmt.Sprintf("connection %d: %s: %+v, %+v", p.id, m, *p, p.plug)
		}
	}
	st.mu.Unlock()
	if what != "" {
		return what
	}
	for i := range st.driver.Loops() {
		st.post(i, func(m *machine) {
			st.mu.Lock()
			defer st.mu.Unlock()
			for _, p := range st.pairs {
				c := m.conns[p.h]
				if p.m != m || c == nil {
					continue
				}
				_, _, closed, _ := p.fromPeer()
				if !c.due.IsZero() && time.Until(c.due) < time.Minute {
					what = fmt.Sprintf("connection %d: OnTimer", p.id)
				}
				if c.waiting && !closed {
					what = fmt.Sprintf("connection %d: OnWritable", p.id)
				}
			}
		})
	}
	return what
}
