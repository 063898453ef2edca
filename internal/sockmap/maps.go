package sockmap

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

const (
	noPrealloc = 1       // BPF_F_NO_PREALLOC: an idle accelerator costs its buckets only
	mmapable   = 1 << 10 // BPF_F_MMAPABLE
)

// license of the two programs alone. The kernel shows its structures to none that is not also under the GPL.
const license = "Dual MIT/GPL"

// maps are what the programs share, see doc.go.
type maps struct {
	services, conns, socks, counters, mixed *ebpf.Map
}

func newMaps(conns uint32) (m maps, err error) {
	for _, want := range []struct {
		at   **ebpf.Map
		spec ebpf.MapSpec
	}{
		{&m.services, ebpf.MapSpec{Name: "redlane_services", Type: ebpf.Hash, KeySize: serviceSize, ValueSize: 4, MaxEntries: maxServices, Flags: noPrealloc}},
		{&m.conns, ebpf.MapSpec{Name: "redlane_conns", Type: ebpf.Hash, KeySize: tupleSize, ValueSize: connSize, MaxEntries: conns, Flags: noPrealloc}},
		{&m.socks, ebpf.MapSpec{Name: "redlane_socks", Type: ebpf.SockHash, KeySize: tupleSize, ValueSize: 4, MaxEntries: 2*conns + 1}},
		{&m.counters, ebpf.MapSpec{Name: "redlane_counts", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: countersSize, MaxEntries: 1}},
		{&m.mixed, ebpf.MapSpec{Name: "redlane_mixed", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: mmapable}},
	} {
		if *want.at, err = ebpf.NewMap(&want.spec); err != nil {
			return m, errors.Join(fmt.Errorf("make BPF map %s: %w", want.spec.Name, err), m.close())
		}
	}
	return m, nil
}

func (m maps) close() error {
	var all error
	for _, one := range []*ebpf.Map{m.services, m.conns, m.socks, m.counters, m.mixed} {
		if one != nil {
			all = errors.Join(all, one.Close())
		}
	}
	return all
}

// load has the kernel check and take a program.
func load(name string, typ ebpf.ProgramType, attach ebpf.AttachType, ins asm.Instructions) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: typ, AttachType: attach, Instructions: ins, License: license})
	if err != nil {
		return nil, fmt.Errorf("load BPF program %s: %w", name, err)
	}
	return p, nil
}
