package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/redlane/redlane/recorder/capture"
	"github.com/redlane/redlane/recorder/capture/live"
	"github.com/redlane/redlane/recorder/capture/tcx"
	"github.com/redlane/redlane/traffic"
)

// A packetSource gives the packets of interfaces to one Frames for each worker.
type packetSource struct {
	name string
	packets
	samples bool // in the kernel: what it gives is sampled already
}

type packets interface {
	Run(ctx context.Context, to ...capture.Frames) error // drains; Close is not needed after it
	Ledgers() []traffic.Ledger                           // that of packets first
	Lag() time.Duration                                  // age of the oldest packet that is not read yet
	Close()
}

// packetSources in the order in which auto tries them.
var packetSources = []struct {
	name string
	open func(*capturing) (packets, error)
}{
	{"ebpf", openEBPF},
	{"packets", openPackets},
}

const sourceAuto = "auto"

func sourceNames() []string {
	names := []string{sourceAuto}
	for _, s := range packetSources {
		names = append(names, s.name)
	}
	return names
}

// openSource opens the source asked for, or with auto the first that works here.
func openSource(c *capturing, logs io.Writer) (packetSource, error) {
	for i, s := range packetSources {
		if c.source != sourceAuto && c.source != s.name {
			continue
		}
		p, err := s.open(c)
		switch {
		case err == nil:
			_, samples := p.(*tcx.Source)
			return packetSource{s.name, p, samples}, nil
		case c.source != sourceAuto || i == len(packetSources)-1:
			return packetSource{}, runError("record: %w", err)
		}
		fmt.Fprintf(logs, "redlane: record: not with %s: %v\n", s.name, err)
	}
	panic("BUG: no source " + c.source)
}

func openEBPF(c *capturing) (packets, error) {
	if c.hardwareTime {
		return nil, errors.New("capture with BPF: no --hardware-time: a program sees the system's time only")
	}
	return tcx.Open(tcx.Config{
		Interfaces: c.ifaces, Services: c.services, Ring: int64(c.ring), Workers: c.workers, Share: c.share, Seed: c.seed,
	})
}

func openPackets(c *capturing) (packets, error) {
	p, err := live.Open(c.live())
	return livePackets{p}, err
}

func (c *capturing) live() live.Config {
	return live.Config{
		Interfaces: c.ifaces, Services: c.services, Ring: int64(c.ring), Workers: c.workers, HardwareTime: c.hardwareTime,
	}
}

type livePackets struct{ *live.Capture }

func (p livePackets) Ledgers() []traffic.Ledger { return []traffic.Ledger{p.Ledger()} }
func (p livePackets) Lag() time.Duration        { return p.Stats().Lag }
