package tcx

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/capture"
)

// Config of a Source. Zero fields take the default named beside them.
type Config struct {
	Interfaces []string          // required: names, in the network namespace of the thread that calls Open
	Services   []capture.Service // required: packets from or to one of their ports are captured

	// Share of connections to keep, above 0 to 1; 0 means 1. The others are counted in the kernel and cost
	// no copy. Seed decides which they are.
	Share float64
	Seed  uint64

	Ring    int64       // bytes of packets that wait to be read, all workers together, rounded down to powers of two; 64 MiB
	Workers int         // readers with a ring each; packets are split between them by connection; 1
	Clock   clock.Clock // clock.System
}

const (
	smallestRing = 64 << 10 // of each worker
	largestRing  = 1 << 30
	maxWorkers   = 64
)

func (c *Config) check() error {
	if c.Share == 0 {
		c.Share = 1
	}
	if c.Ring == 0 {
		c.Ring = 64 << 20
	}
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	switch {
	case len(c.Interfaces) == 0:
		return errors.New("no interface")
	case len(c.Services) == 0:
		return errors.New("no service")
	case !(c.Share > 0 && c.Share <= 1):
		return fmt.Errorf("share %v of connections is not above 0 and at most 1", c.Share)
	case c.Workers < 0 || c.Workers > maxWorkers:
		return fmt.Errorf("%d workers: want 1 to %d", c.Workers, maxWorkers)
	case c.Ring < int64(c.Workers)*smallestRing || c.Ring > int64(c.Workers)*largestRing:
		return fmt.Errorf("ring of %v: want %v to %v for each worker", conf.Bytes(c.Ring), conf.Bytes(smallestRing), conf.Bytes(largestRing))
	}
	for _, one := range c.Services {
		if one.Port == 0 {
			return fmt.Errorf("service %s has no port", one.Name)
		}
	}
	return nil
}

// ringSize is what the kernel takes for one worker's ring.
func (c *Config) ringSize() uint32 {
	return 1 << (bits.Len64(uint64(c.Ring)/uint64(c.Workers)) - 1)
}

func (c *Config) ports() (all []uint16) {
	for _, one := range c.Services {
		all = append(all, one.Port)
	}
	return all
}
