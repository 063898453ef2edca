package sockmap

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/redlane/redlane/internal/cgroup"
)

// Config of an Accelerator. The zero value takes what is written beside the fields.
type Config struct {
	// Cgroup is the folder of a cgroup v2 that holds all processes whose connections are to be
	// shortened: the proxy, its clients and its services. Empty: the root of the hierarchy.
	Cgroup string

	// Conns is how many connections there is room for, a little under 300 bytes of kernel memory each
	// when open. Others go by TCP. 0 means 65536.
	Conns uint32
}

// An Accelerator is the two programs at work. Start makes it, Close ends it. Connections that were admitted
// stay shortened, also after Close and after the death of the process, and lose nothing by either.
type Accelerator struct {
	cgroup string
	maps   maps
	hook   *link.RawLink
	wall   wall
	mixed  []byte // the value in the map of this name

	mu struct {
		sync.Mutex
		served map[[serviceSize]byte]uint32
	}
}

// Start loads the programs, attaches them, and proves on a connection of its own that this kernel does with
// redirected bytes what the programs count on. It admits nothing until Serve. The error says in one line
// what is missing.
func Start(cfg Config) (_ *Accelerator, err error) {
	defer func() {
		if errors.Is(err, unix.EPERM) {
			err = errors.New("needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and a container runtime that does not forbid the system call bpf")
		}
	}()
	if cfg.Conns == 0 {
		cfg.Conns = maxConns
	}
	if cfg.Cgroup == "" {
		if cfg.Cgroup, err = cgroup.Root(); err != nil {
			return nil, err
		}
	}
	dir, err := openCgroup(cfg.Cgroup)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	a := &Accelerator{cgroup: cfg.Cgroup}
	a.mu.served = make(map[[serviceSize]byte]uint32)
	defer func() {
		if err != nil {
			_ = a.Close() // what it could not start with says more
		}
	}()
	if a.maps, err = newMaps(cfg.Conns); err != nil {
		return nil, err
	}
	if a.mixed, err = unix.Mmap(a.maps.mixed.FD(), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map redlane_mixed: %w", err)
	}
	if err := a.attach(dir); err != nil {
		return nil, err
	}
	if err := a.buildWall(); err != nil {
		return nil, err
	}
	if err := a.prove(); err != nil {
		return nil, err
	}
	return a, nil
}

// attach leaves the programs with their maps and links as the only holders.
func (a *Accelerator) attach(dir *os.File) error {
	f, err := findFields()
	if err != nil {
		return err
	}
	self, err := thisProcess()
	if err != nil {
		return err
	}
	redirect, err := a.maps.redirect(f)
	if err != nil {
		return err
	}
	defer redirect.Close()
	admit, err := a.maps.admit(f, self)
	if err != nil {
		return err
	}
	defer admit.Close()
	err = link.RawAttachProgram(link.RawAttachProgramOptions{Target: a.maps.socks.FD(), Program: redirect, Attach: ebpf.AttachSkMsgVerdict})
	if err != nil {
		return fmt.Errorf("attach redlane_redirect: %w", err)
	}
	if err := a.lookForOthers(dir); err != nil {
		return err
	}
	// A link, which goes with its last descriptor, and not the older way, which would stay when we die.
	a.hook, err = link.AttachRawLink(link.RawLinkOptions{Target: int(dir.Fd()), Program: admit, Attach: ebpf.AttachCGroupSockOps})
	if err != nil {
		return fmt.Errorf("attach redlane_admit to %s: %w", a.cgroup, err)
	}
	return nil
}

// lookForOthers is for hot restart: an accelerator that came before admits connections to listeners we take
// over, and if it mixes their queues it is not our number that says so.
func (a *Accelerator) lookForOthers(dir *os.File) error {
	all, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: ebpf.AttachCGroupSockOps})
	if err != nil {
		return fmt.Errorf("list the programs of %s: %w", a.cgroup, err)
	}
	for _, one := range all.Programs {
		p, err := ebpf.NewProgramFromID(one.ID)
		if err != nil {
			continue // it has gone
		}
		info, err := p.Info()
		p.Close()
		if err == nil && info.Name == admitName {
			atomic.StoreUint64(a.Mixed(), 1)
		}
	}
	return nil
}

// Cgroup is the folder the programs are attached to.
func (a *Accelerator) Cgroup() string { return a.cgroup }

// Serve names the addresses whose new connections are admitted: those the proxy listens on, and those it
// connects to, where only its own connections are. An unspecified address stands for all; those without a port are
// passed over. Connections already admitted stay so.
func (a *Accelerator) Serve(listens, connects []netip.AddrPort) error {
	want := make(map[[serviceSize]byte]uint32)
	for kind, addrs := range map[uint32][]netip.AddrPort{listensThere: listens, connectsThere: connects} {
		for _, addr := range addrs {
			if addr.IsValid() && addr.Port() != 0 {
				want[serviceKey(addr)] = kind
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.mu.served {
		if want[k] != 0 {
			continue
		}
		if err := a.maps.services.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("sockmap: forget an address: %w", err)
		}
		delete(a.mu.served, k)
	}
	for k, kind := range want {
		if err := a.maps.services.Put(k, kind); err != nil {
			return fmt.Errorf("sockmap: add an address, %d of at most %d: %w", len(want), maxServices, err)
		}
		a.mu.served[k] = kind
	}
	return nil
}

// Mixed points at a number that is not 0 once something may have come to the proxy by TCP while redirected
// bytes were still unread. One read takes from one of the two queues, so a short one proves nothing any
// more. It is valid until Close.
func (a *Accelerator) Mixed() *uint64 { return (*uint64)(unsafe.Pointer(&a.mixed[0])) }

// Counters adds up the counters of all CPUs.
func (a *Accelerator) Counters() (sum Counters, err error) {
	var perCPU []Counters
	if err := a.maps.counters.Lookup(uint32(0), &perCPU); err != nil {
		return sum, fmt.Errorf("sockmap: read the counters: %w", err)
	}
	for _, c := range perCPU {
		sum.Messages += c.Messages
		sum.Bytes += c.Bytes
		sum.Waited += c.Waited
		sum.Unread += c.Unread
		sum.Full += c.Full
		sum.Alone += c.Alone
		sum.Sockets += c.Sockets
		sum.Refused += c.Refused
	}
	return sum, nil
}

// Close admits no more connections. What the open ones need stays in the kernel until they end.
func (a *Accelerator) Close() error {
	var err error
	if a.hook != nil {
		err = a.hook.Close()
	}
	if a.mixed != nil {
		err = errors.Join(err, unix.Munmap(a.mixed))
	}
	a.wall.close()
	return errors.Join(err, a.maps.close())
}
