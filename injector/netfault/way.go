package netfault

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/clock"
)

// A way is one direction of a lease in force.
type way interface {
	end() error // takes it back; what is held passes at once
	counts() (Counts, error)
}

// A cut drops packets: on arrival, where nobody who sent them is told, or, when a mark says which, on leaving,
// for marks do not leave a namespace. Then senders of datagrams are told EPERM.
type cut struct {
	rules *ruleset
	mu    struct {
		sync.Mutex
		over bool
		last Counts // when it ended
	}
}

func newCut(at *space, m match, s step, incoming bool) (*cut, error) {
	c := new(cut)
	chain := nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityRaw}
	end := destination
	if incoming {
		chain.Hooknum, end = nftables.ChainHookInput, source
	}
	err := at.do(func() (err error) {
		c.rules, err = m.put(s.Table, chain, end, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
		return explain("set rules", err)
	})
	return c, err
}

func (c *cut) end() error {
	last, err := c.counts()
	c.mu.Lock()
	c.mu.over, c.mu.last = true, last
	c.mu.Unlock()
	return errors.Join(err, c.rules.end())
}

func (c *cut) counts() (n Counts, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.over {
		return c.mu.last, nil
	}
	n.Lost, err = c.rules.counted()
	n.Packets = n.Lost
	return n, explain("read rules", err)
}

// A detour leads packets through a Line. All of it happens on one thread in the namespace.
type detour struct {
	order
	link  netlink.Link
	means string
	wake  int // eventfd: end
	gone  chan struct{}

	mu struct {
		sync.Mutex
		over   bool
		counts Counts
	}
	err error // of end; read after gone
}

// An order is what a detour is to do: impair what matches, on its way out of at.
type order struct {
	at     *space
	match  match
	impair Impair
	seed   uint64
	name   string // of the luck
	step   step
}

// newDetour returns when packets take it.
func newDetour(o order, c clock.Clock) (*detour, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	d := &detour{order: o, wake: wake, gone: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(d.gone)
		runtime.LockOSThread() // never unlocked: the thread is in another namespace
		p, err := d.build(c)
		ready <- err
		if err != nil {
			return
		}
		d.err = errors.Join(p.run(), p.rules.end(), d.step.undoRules())
		p.flush()
		p.close()
	}()
	if err := <-ready; err != nil {
		<-d.gone
		_ = unix.Close(wake)
		return nil, err
	}
	return d, nil
}

// build lays the detour from its far end, so that no packet takes it before it is whole.
func (d *detour) build(c clock.Clock) (p *pump, err error) {
	if err := d.at.enter(); err != nil {
		return nil, err
	}
	p = &pump{detour: d, clock: c, begin: c.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.step.undoRules())
			p.close()
		}
	}()
	if p.out, err = newResender(d.match.mark); err != nil {
		return p, explain("send packets on", err)
	}
	if p.tun, err = openTUN(); err != nil {
		return p, explain("make a detour", err)
	}
	d.link = p.tun.link
	var rest Impair
	rest, d.means = inKernel(d.link, d.impair, d.seed != 0)
	p.line = NewLine(rest, d.seed, d.name)
	if err := p.tun.route(int(d.step.Mark)); err != nil {
		return p, explain("make a detour", err)
	}
	for _, rule := range d.step.rules() {
		if err := netlink.RuleAdd(rule); err != nil && (rule.Family == unix.AF_INET || !noIPv6()) {
			return p, explain("make a detour: routing rule", err)
		}
	}
	chain := nftables.Chain{Type: nftables.ChainTypeRoute, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityMangle}
	p.rules, err = d.match.put(d.step.Table, chain, destination, &expr.Immediate{Register: 1, Data: native(d.step.Mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1})
	return p, explain("make a detour: set rules", err)
}

func (d *detour) end() error {
	lost, err := d.lost()
	if _, e := unix.Write(d.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); e != nil {
		return fmt.Errorf("end detour: %w", e)
	}
	<-d.gone
	_ = unix.Close(d.wake)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.over = true
	d.mu.counts = d.with(lost)
	return errors.Join(err, d.err)
}

func (d *detour) counts() (Counts, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.over {
		return d.mu.counts, nil
	}
	lost, err := d.lost()
	return d.with(lost), err
}

// lost is what the kernel has dropped at the device, before packets came here.
func (d *detour) lost() (n uint64, err error) {
	if d.means != meansOwn {
		err = d.at.do(func() (err error) {
			n, err = dropped(d.link)
			return err
		})
	}
	return n, err
}

// with adds that to the counts. d.mu is held.
func (d *detour) with(lost uint64) Counts {
	n := d.mu.counts
	n.Packets += lost
	if d.means == meansKernel {
		n.Lost += lost
	} else {
		n.Overflow += lost
	}
	return n
}

// explain adds what can be done about an error.
func explain(act string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s: needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN: run it as root: %w", act, err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s: this kernel lacks nf_tables or TUN devices: %w", act, err)
	}
	return fmt.Errorf("%s: %w", act, err)
}
