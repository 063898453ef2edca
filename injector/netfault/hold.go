package netfault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/redlane/redlane/injector"
)

// lease is a Lease in force, or over.
type lease struct {
	Lease
	ways []armed
	dies time.Time // by its ttl
	end  context.CancelFunc
	over chan struct{} // closed when all of it is taken back

	mu struct {
		sync.Mutex
		renewed time.Time
		state   string
		left    error // what could not be taken back
	}
}

// armed is a way of a lease, and whose.
type armed struct {
	way
	step     step
	from, to string
	means    string
	spaces   []*space      // held open as long as the way is looked at
	broken   chan struct{} // closed when the way has ended, nil when it does not end by itself
}

func (l *lease) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.state != injector.Live
}

// until is when l ends unless it is renewed. l.mu is held.
func (l *lease) until() time.Time {
	if renewed := l.mu.renewed.Add(injector.Grace); renewed.Before(l.dies) {
		return renewed
	}
	return l.dies
}

// watch ends l when one of its ways cannot go on.
func (l *lease) watch(broken chan struct{}) {
	select {
	case <-broken:
		l.end()
	case <-l.over:
	}
}

// hold waits for the end of l, whichever comes first, and takes all of it back.
func (a *Agent) hold(ctx context.Context, l *lease) {
	state := injector.Expired
	for {
		l.mu.Lock()
		until := l.until()
		l.mu.Unlock()
		if a.cfg.Clock.SleepUntil(ctx, until) != nil {
			state = injector.Removed
			break
		}
		l.mu.Lock()
		renewed := a.cfg.Clock.Now().Before(l.until())
		l.mu.Unlock()
		if !renewed {
			break
		}
	}
	l.mu.Lock()
	l.mu.state = state
	l.mu.Unlock()
	left := a.disarm(l)
	l.mu.Lock()
	l.mu.left = left
	l.mu.Unlock()
	l.end() // lets go of ctx
	close(l.over)
}

// arm puts the ways of l into force, one after the other; those that are, are in l.ways also when it fails. The
// undoer knows of each before it is begun.
func (a *Agent) arm(l *lease) error {
	for _, pair := range l.pairs() {
		w := armed{from: pair[0], to: pair[1]}
		err := a.armWay(l, &w)
		if err != nil {
			for _, s := range w.spaces {
				s.close()
			}
			return err
		}
		l.ways = append(l.ways, w)
	}
	return nil
}

func (a *Agent) armWay(l *lease, w *armed) (err error) {
	from, err := a.open(w, "from", w.from)
	if err != nil {
		return err
	}
	m := match{mark: uint32(l.Mark)}
	at, incoming := from, false
	if w.to != "" {
		to, err := a.open(w, "to", w.to)
		if err != nil {
			return err
		}
		if to.same(from) {
			return fmt.Errorf("to: %q is the same namespace as %q", w.to, w.from)
		}
		if incoming = l.Fault == FaultPartition && l.Mark == 0; incoming {
			at = to
		}
		if m.addrs, err = between(from, to, incoming); err != nil {
			return err
		}
	}
	w.step = step{Space: at.path, Table: a.name()}
	if l.Fault == FaultImpair {
		if w.step.Mark, err = freeMark(at); err != nil {
			return err
		}
	}
	if err := a.undoer.arm(w.step); err != nil {
		return err
	}
	if l.Fault == FaultPartition {
		w.way, err = newCut(at, m, w.step, incoming)
		w.means = meansCut
	} else {
		name := l.ID + " " + w.from + " " + w.to
		var d *detour
		if d, err = newDetour(order{at, m, l.Impair, l.Seed, name, w.step}, a.cfg.Clock); err == nil {
			w.way, w.means = d, d.means
			w.broken = d.gone
		}
	}
	if err != nil {
		return errors.Join(err, a.undoer.disarm(w.step))
	}
	return nil
}

func (a *Agent) open(w *armed, key, name string) (s *space, err error) {
	if name == "" {
		s, err = openSpace(ownSpace)
	} else {
		s, err = openNamed(a.cfg.Namespaces, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	w.spaces = append(w.spaces, s)
	return s, nil
}

// between are the addresses by which packets from one namespace to another are known: where they go, or, for a
// rule on arrival, where they come from. An address that both have says nothing.
func between(from, to *space, incoming bool) ([]netip.Addr, error) {
	ours, err := from.addresses()
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	theirs, err := to.addresses()
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	for _, a := range ours {
		for _, b := range theirs {
			if a == b {
				return nil, fmt.Errorf("to: both namespaces have the address %s", a)
			}
		}
	}
	if incoming {
		return ours, nil
	}
	return theirs, nil
}

// disarm takes back what arm has done. What cannot be is left to the undoer, which tries again at the end.
func (a *Agent) disarm(l *lease) (all error) {
	for i := range l.ways {
		w := &l.ways[i]
		err := w.end()
		if err == nil {
			err = a.undoer.disarm(w.step)
		}
		if err != nil {
			err = fmt.Errorf("take back %s -> %s: %w", cmp.Or(w.from, "this namespace"), cmp.Or(w.to, "anywhere"), err)
		}
		for _, s := range w.spaces {
			s.close()
		}
		all = errors.Join(all, err)
	}
	return all
}
