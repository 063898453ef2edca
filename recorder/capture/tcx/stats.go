package tcx

import (
	"errors"
	"fmt"
	"time"

	"github.com/redlane/redlane/traffic"
)

// A Count of packets, and of their bytes from the IP header on.
type Count struct{ Packets, Bytes uint64 }

// Stats are what the program counted, all CPUs together, and what Run delivered.
type Stats struct {
	Seen       Count // from or to a port of the configuration
	Empty      Count // of these: no data, and neither begin nor end of a connection; not copied
	SampledOut Count // of connections that were not drawn
	Copied     Count // into the ring
	RingFull   Count // lost: Run did not keep up
	TooLong    Count // lost: longer than 512 KiB, or not to be read

	// Unparsed are packets whose ports could not be told, so that they may be of any connection: fragments,
	// IPv6 with authentication or many headers before TCP, lengths that cannot be. They are not among Seen,
	// but in the ledgers.
	Unparsed Count

	// Connections met, when sampling: exact while not more than 65,536 are open.
	KeptConnections, LeftConnections uint64

	Delivered Count // to Frames
}

// Stats reads the counters. While packets flow they are not of one moment; after Run they are final.
func (s *Source) Stats() (sum Stats, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.final != nil {
		return *s.mu.final, nil
	}
	var perCPU []kernelCounts
	if err := s.maps.counters.Lookup(uint32(0), &perCPU); err != nil {
		return sum, fmt.Errorf("read the counters of the program: %w", err)
	}
	for _, c := range perCPU {
		for _, one := range []struct {
			to *Count
			n  Count
		}{
			{&sum.Seen, c.Seen}, {&sum.Empty, c.Empty}, {&sum.SampledOut, c.SampledOut}, {&sum.Copied, c.Copied},
			{&sum.RingFull, c.Full}, {&sum.TooLong, c.TooLong}, {&sum.Unparsed, c.Unparsed},
		} {
			one.to.Packets += one.n.Packets
			one.to.Bytes += one.n.Bytes
		}
		sum.KeptConnections += c.KeptConns
		sum.LeftConnections += c.LeftConns
	}
	for _, r := range s.readers {
		sum.Delivered.Packets += r.packets.Load()
		sum.Delivered.Bytes += r.bytes.Load()
	}
	return sum, nil
}

// kernelCounts is the value of the map, in the order of layout.go.
type kernelCounts struct {
	Seen, Empty, SampledOut, Copied, Full, TooLong, Unparsed Count
	KeptConns, LeftConns                                     uint64
}

// Lag is the age of the oldest packet being read, give or take 1024 packets and the hundredth of a second
// between two looks; 0 when none waits. It may be called at any time.
func (s *Source) Lag() (lag time.Duration) {
	now := s.cfg.Clock.Now().UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		if t := r.reading.Load(); t != 0 {
			lag = max(lag, time.Duration(now-t))
		}
	}
	return lag
}

// Ledgers are the books after Run; before, what is missing waits in the ring.
func (s *Source) Ledgers() []traffic.Ledger {
	stats, err := s.Stats()
	if err != nil {
		return []traffic.Ledger{{Stage: "ebpf packets"}} // the counters have gone with a Run that never was
	}
	return stats.Ledgers()
}

// Ledgers are the books: packets, their bytes and, when sampling, connections.
func (s Stats) Ledgers() []traffic.Ledger {
	book := func(stage string, n func(Count) uint64) traffic.Ledger {
		l := traffic.Ledger{Stage: stage, Accepted: n(s.Seen) + n(s.Unparsed), Passed: n(s.Delivered), Filtered: n(s.Empty), SampledOut: n(s.SampledOut)}
		l.Drop("ring", n(s.RingFull))
		l.Drop("long", n(s.TooLong))
		l.Drop("unparsed", n(s.Unparsed))
		return l
	}
	all := []traffic.Ledger{
		book("ebpf packets", func(c Count) uint64 { return c.Packets }),
		book("ebpf bytes", func(c Count) uint64 { return c.Bytes }),
	}
	if n := s.KeptConnections + s.LeftConnections; n > 0 {
		all = append(all, traffic.Ledger{Stage: "ebpf connections", Accepted: n, Passed: s.KeptConnections, SampledOut: s.LeftConnections})
	}
	return all
}

func (s Stats) reconcile() error {
	var all error
	for _, l := range s.Ledgers() {
		all = errors.Join(all, l.Balance())
	}
	return all
}
