package tcx

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/recorder/capture"
)

// A Source captures from Open to the end of Run.
type Source struct {
	cfg     Config
	maps    maps
	hooks   []hook
	readers []*reader // one for each worker

	mu struct { // between Run and Stats
		sync.Mutex
		final *Stats // once the counters have gone
	}
}

type hook struct {
	link.Link
	iface string
}

// Open loads the program and attaches it: from now on packets wait in the ring for Run. An error says in one
// line what is missing, and what to do. The source ends with Run, or with Close where Run is never called.
func Open(cfg Config) (*Source, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("capture with BPF: %w", err)
	}
	s, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("capture with BPF: %w", err)
	}
	return s, nil
}

func open(cfg Config) (_ *Source, err error) {
	s := &Source{cfg: cfg}
	defer func() {
		if err != nil {
			s.Close()
			err = lack(err)
		}
	}()
	var ifaces []iface
	for _, name := range cfg.Interfaces {
		i, err := findIface(name)
		if err != nil {
			return nil, err
		}
		ifaces = append(ifaces, i)
	}
	if s.maps, err = newMaps(cfg.ports(), cfg.Workers, cfg.ringSize()); err != nil {
		return nil, err
	}
	for _, m := range s.maps.rings {
		r, err := newRing(m)
		if err != nil {
			return nil, err
		}
		s.readers = append(s.readers, &reader{ring: r, clock: cfg.Clock})
	}
	for _, i := range ifaces {
		if err := s.attach(i); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// attach leaves the links as the only holders of the program.
func (s *Source) attach(i iface) error {
	p, err := s.maps.load(variant{link: i.link, iface: int32(i.index), share: of(s.cfg.Share), seed: s.cfg.Seed, workers: int32(s.cfg.Workers)})
	if err != nil {
		return err
	}
	defer p.Close()
	for _, side := range []struct {
		name string
		at   ebpf.AttachType
		by   link.Anchor
	}{
		{"ingress", ebpf.AttachTCXIngress, link.Head()}, // what others drop or redirect has come all the same
		{"egress", ebpf.AttachTCXEgress, link.Tail()},   // what others drop does not leave
	} {
		if side.at == ebpf.AttachTCXEgress && i.loopback {
			continue // what leaves there comes in again
		}
		l, err := link.AttachTCX(link.TCXOptions{Interface: i.index, Program: p, Attach: side.at, Anchor: side.by})
		if err != nil {
			return fmt.Errorf("attach redlane_capture to %s %s: %w", i.name, side.name, err)
		}
		s.hooks = append(s.hooks, hook{l, i.name})
	}
	return nil
}

// Run hands over all packets in the order in which they were seen, until ctx ends; then the program is
// detached first, what is left in the ring is delivered, and everything is released. There must be one
// Frames for each worker; all packets of a connection go to the same. It returns an error when an
// interface has gone or the books do not balance; Stats and Ledgers are final then.
func (s *Source) Run(ctx context.Context, to ...capture.Frames) error {
	if len(to) != len(s.readers) {
		panic(fmt.Sprintf("BUG: %d workers, %d takers", len(s.readers), len(to)))
	}
	work, loops := errgroup.WithContext(ctx)
	for i, r := range s.readers {
		r.to = to[i]
		check := s.gone
		if i > 0 {
			check = func() error { return nil } // one looks for all
		}
		work.Go(func() error { return r.run(loops, check) })
	}
	err := errors.Join(work.Wait(), s.detach())
	var rest errgroup.Group
	for _, r := range s.readers {
		rest.Go(func() error {
			for r.drain() > 0 {
				continue
			}
			return nil
		})
	}
	_ = rest.Wait() // of functions that return no error
	stats, statsErr := s.Stats()
	s.mu.Lock()
	s.mu.final = &stats
	s.mu.Unlock()
	if err = errors.Join(err, statsErr, s.close(), stats.reconcile()); err != nil {
		return fmt.Errorf("capture with BPF: %w", err)
	}
	return nil
}

// gone is an error when an interface has: the kernel then takes the program off without a word.
func (s *Source) gone() error {
	for _, h := range s.hooks {
		info, err := h.Info()
		if err != nil {
			return fmt.Errorf("look at the program on %s: %w", h.iface, err)
		}
		if t := info.TCX(); t == nil || t.Ifindex == 0 {
			return fmt.Errorf("interface %s has gone", h.iface)
		}
	}
	return nil
}

// detach returns when no CPU is in the program any more: the kernel waits for that.
func (s *Source) detach() error {
	var all error
	for _, h := range s.hooks {
		if err := h.Detach(); err != nil && !errors.Is(err, unix.ENOLINK) { // the interface has gone
			all = errors.Join(all, fmt.Errorf("detach redlane_capture from %s: %w", h.iface, err))
		}
		all = errors.Join(all, h.Close())
	}
	s.hooks = nil
	return all
}

// Close gives up a source whose Run is never called.
func (s *Source) Close() { _ = s.close() } // what cannot be released goes with the process

func (s *Source) close() error {
	err := s.detach()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		r.ring.close()
	}
	s.readers = nil
	err = errors.Join(err, s.maps.close())
	s.maps = maps{}
	return err
}
