package live

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/redlane/redlane/internal/clock"
	"github.com/redlane/redlane/internal/conf"
	"github.com/redlane/redlane/recorder/capture"
)

// Any stands for all interfaces, also those that come later.
const Any = "any"

// Config of a Capture. Zero fields take the default named beside them.
type Config struct {
	Interfaces []string          // required; Any, or names
	Services   []capture.Service // required: whose packets, told by port and address
	Ring       int64             // memory in bytes for packets that wait to be read, all workers together; 64 MiB
	Workers    int               // readers; the kernel splits the packets between them by connection; 1

	// HardwareTime takes the time of network cards where packets have it. Their clocks are rarely the
	// system's, and packets that leave have none: for ports that only receive, such as a mirror's.
	HardwareTime bool

	Clock clock.Clock // clock.System
}

const (
	blockSize = 1 << 20 // must hold the largest packet: 512 KiB with BIG TCP
	minBlocks = 4       // a worker's: one being read, one being filled, two for bursts

	maxServices = 180 // of which the filter still fits the kernel's 4096 instructions
	maxWorkers  = 64
)

func (c *Config) check() error {
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
	case len(c.Services) > maxServices:
		return fmt.Errorf("%d services; the kernel's filter has room for %d", len(c.Services), maxServices)
	case c.Workers < 0 || c.Workers > maxWorkers:
		return fmt.Errorf("%d workers: want 1 to %d", c.Workers, maxWorkers)
	case c.Ring < int64(c.Workers)*minBlocks*blockSize:
		return fmt.Errorf("ring of %v: want at least %v for each worker", conf.Bytes(c.Ring), conf.Bytes(minBlocks*blockSize))
	case c.Ring/int64(c.Workers) > 1<<31:
		return fmt.Errorf("ring of %v: want at most 2GiB for each worker", conf.Bytes(c.Ring))
	}
	for _, s := range c.Services {
		if s.Port == 0 {
			return fmt.Errorf("service %s has no port", s.Name)
		}
	}
	_, err := indexes(c.Interfaces)
	return err
}

// Check finds what is wrong with c without opening anything, interfaces that are not there included.
func (c Config) Check() error { return c.check() }

// indexes are the kernel's numbers of interfaces; none stands for all.
func indexes(names []string) ([]int, error) {
	if slices.Contains(names, Any) {
		return nil, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	known := []string{Any}
	number := make(map[string]int)
	for _, i := range all {
		known = append(known, i.Name)
		number[i.Name] = i.Index
	}
	var found []int
	for _, name := range names {
		if number[name] == 0 {
			return nil, fmt.Errorf("no interface %q%s", name, conf.DidYouMean(name, known))
		}
		found = append(found, number[name])
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
