package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/traffic"
)

// A Capture has its rings from Open on: what passes then waits there for Run.
type Capture struct {
	cfg     Config
	indexes []int // of the interfaces; none: all
	sockets []*socket
}

// Open starts to capture. Run must be called once, or Close.
func Open(cfg Config) (*Capture, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("capture packets: %w", err)
	}
	c := &Capture{cfg: cfg}
	if err := c.open(); err != nil {
		c.Close()
		return nil, fmt.Errorf("capture packets from %s: %w", strings.Join(cfg.Interfaces, ", "), err)
	}
	return c, nil
}

func (c *Capture) open() (err error) {
	if c.indexes, err = indexes(c.cfg.Interfaces); err != nil {
		return err
	}
	index, loopback := 0, false
	if len(c.indexes) == 1 {
		index = c.indexes[0]
		i, err := net.InterfaceByIndex(index)
		if err != nil {
			return err
		}
		loopback = i.Flags&net.FlagLoopback != 0
	}
	group := 0
	for range c.cfg.Workers {
		s, err := openSocket(index, loopback, c.cfg.Ring/int64(c.cfg.Workers), c.cfg.HardwareTime)
		if err != nil {
			return err
		}
		c.sockets = append(c.sockets, s)
		if c.cfg.Workers > 1 {
			if group, err = s.join(group); err != nil {
				return err
			}
		}
	}
	program := filter(c.indexes, c.cfg.Services)
	for _, s := range c.sockets { // only now: before, two workers could have had the same packet
		if err := s.filter(program); err != nil {
			return err
		}
	}
	return nil
}

// Close gives up a Capture whose Run is never called.
func (c *Capture) Close() {
	for _, s := range c.sockets {
		s.close()
	}
}

// Run hands packets over until ctx ends, then takes no more in, hands over what the rings hold, and returns.
// There must be one Frames for each worker; all packets of a connection go to the same. It returns an error
// when the interface is gone.
func (c *Capture) Run(ctx context.Context, to ...capture.Frames) error {
	defer c.Close()
	if len(to) != len(c.sockets) {
		panic(fmt.Sprintf("BUG: %d workers, %d takers", len(c.sockets), len(to)))
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range c.sockets {
		group.Go(func() error {
			r := newReader(s, to[i], c.cfg.Clock)
			return errors.Join(r.run(ctx, func() error { return s.gone(c.indexes) }), r.drain())
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("capture packets from %s: %w", strings.Join(c.cfg.Interfaces, ", "), err)
	}
	return nil
}

// Stats of a Capture, all workers together.
type Stats struct {
	Packets   uint64        // the filter let through
	Delivered uint64        // of these, given to Frames
	Dropped   uint64        // of these, found the ring full
	Freezes   uint64        // times the ring was full
	Lag       time.Duration // age of the oldest packet being read
}

// Stats may be called at any time.
func (c *Capture) Stats() (st Stats) {
	now := c.cfg.Clock.Now().UnixNano()
	for _, s := range c.sockets {
		st.Delivered += s.delivered.Load()      // before the kernel's books, so that it is never ahead of them
		packets, drops, freezes, _ := s.count() // after Run, the last that were read
		st.Packets += packets
		st.Dropped += drops
		st.Freezes += freezes
		if t := s.reading.Load(); t != 0 {
			st.Lag = max(st.Lag, time.Duration(now-t))
		}
	}
	return st
}

// Ledger is what became of the packets. It balances after Run; before, what is missing waits in the ring.
func (c *Capture) Ledger() traffic.Ledger {
	st := c.Stats()
	l := traffic.Ledger{Stage: "packets", Accepted: st.Packets, Passed: st.Delivered}
	l.Drop("kernel", st.Dropped)
	return l
}
