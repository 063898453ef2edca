package tcx

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// maxConnections is how many connections are remembered to count them when sampling. With more open at once,
// some that were long idle count again; what is kept does not depend on it.
const maxConnections = 1 << 16

// maps are what program and process share, see doc.go.
type maps struct {
	ports, counters, connections *ebpf.Map

	rings []*ebpf.Map // one for each worker
	all   *ebpf.Map   // array of the rings, when there are several
}

func newMaps(ports []uint16, workers int, ringSize uint32) (m maps, err error) {
	ring := ebpf.MapSpec{Name: "redlane_ring", Type: ebpf.RingBuf, MaxEntries: ringSize}
	m.rings = make([]*ebpf.Map, workers)
	type made struct {
		at   **ebpf.Map
		spec ebpf.MapSpec
	}
	all := []made{
		{&m.ports, ebpf.MapSpec{Name: "redlane_ports", Type: ebpf.Array, KeySize: 4, ValueSize: portsSize, MaxEntries: 1}},
		{&m.counters, ebpf.MapSpec{Name: "redlane_seen", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: countersSize, MaxEntries: 1}},
		{&m.connections, ebpf.MapSpec{Name: "redlane_drawn", Type: ebpf.LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: maxConnections}},
	}
	for i := range m.rings {
		all = append(all, made{&m.rings[i], ring})
	}
	if workers > 1 {
		all = append(all, made{&m.all, ebpf.MapSpec{
			Name: "redlane_rings", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: uint32(workers), InnerMap: &ring,
		}})
	}
	for _, one := range all {
		if *one.at, err = ebpf.NewMap(&one.spec); err != nil {
			return m, errors.Join(fmt.Errorf("make BPF map %s: %w", one.spec.Name, err), m.close())
		}
	}
	for i, r := range m.rings {
		if m.all == nil {
			break
		}
		if err := m.all.Put(uint32(i), r); err != nil {
			return m, errors.Join(fmt.Errorf("fill BPF map redlane_rings: %w", err), m.close())
		}
	}
	bits := make([]byte, portsSize)
	for _, port := range ports {
		setPort(bits, port)
	}
	if err := m.ports.Put(uint32(0), bits); err != nil {
		return m, errors.Join(fmt.Errorf("fill BPF map redlane_ports: %w", err), m.close())
	}
	return m, nil
}

func (m maps) close() error {
	var all error
	for _, one := range append(m.rings, m.ports, m.counters, m.connections, m.all) {
		if one != nil {
			all = errors.Join(all, one.Close())
		}
	}
	return all
}

// load has the kernel check and take the program.
func (m maps) load(v variant) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "redlane_capture", Type: ebpf.SchedCLS, Instructions: captureProgram(m, v), License: "Apache-2.0",
	})
	if err != nil {
		return nil, fmt.Errorf("load BPF program redlane_capture: %w", err)
	}
	return p, nil
}
