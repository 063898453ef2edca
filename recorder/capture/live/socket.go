package live

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// retireAfter is how long the kernel keeps a block that is not full. It bounds how old a packet gets before
// it is seen; at 100 wake-ups a second a reader of a quiet port costs nothing.
const retireAfter = 10 * time.Millisecond

// A socket is one packet socket with its ring.
type socket struct {
	file   *os.File // non-blocking, so that the runtime waits for it
	raw    syscall.RawConn
	blocks blocks

	delivered atomic.Uint64
	reading   atomic.Int64 // when the oldest packet of the block being read was captured, Unix ns; 0: none is

	kernel struct {
		sync.Mutex
		packets, drops, freezes uint64
	}
}

// openSocket makes a socket that captures nothing until its filter is set. No index means all interfaces.
func openSocket(index int, loopback bool, ring int64, hardware bool) (s *socket, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf(`%w: needs CAP_NET_RAW: run as root, or once: sudo setcap cap_net_raw+ep "$(command -v redlane)"`, err)
	case err != nil:
		return nil, os.NewSyscallError("socket", err)
	}
	s = &socket{file: os.NewFile(uintptr(fd), "packet socket")}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return nil, err
	}
	if err := s.filter(nothing); err != nil {
		return nil, err
	}
	if s.blocks, err = mapRing(fd, ring); err != nil {
		return nil, err
	}
	if loopback {
		// The filter does the same, but only after the kernel has made a copy for us. Since Linux 4.20.
		_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if hardware {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_TIMESTAMP, unix.SOF_TIMESTAMPING_RAW_HARDWARE); err != nil {
			return nil, os.NewSyscallError("setsockopt PACKET_TIMESTAMP", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: index}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	return s, nil
}

func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }

// mapRing gives the socket a ring and maps it.
func mapRing(fd int, size int64) (blocks, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, os.NewSyscallError("setsockopt PACKET_VERSION", err)
	}
	n := uint32(size / blockSize)
	const frame = 2048 // TPACKET_V3 packs packets by their own size, and wants a number all the same
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
		Block_size: blockSize, Block_nr: n, Frame_size: frame, Frame_nr: n * (blockSize / frame),
		Retire_blk_tov: uint32(retireAfter / time.Millisecond),
	}); err != nil {
		return nil, fmt.Errorf("ring of %d MiB: %w", n, os.NewSyscallError("setsockopt PACKET_RX_RING", err))
	}
	memory, err := unix.Mmap(fd, 0, int(n)*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return memory, nil
}

// control runs f on the descriptor.
func (s *socket) control(call string, f func(fd int) error) error {
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return os.NewSyscallError(call, err)
}

// filter replaces the filter; packets are judged by the old one or the new one.
func (s *socket) filter(program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("BUG: packet filter: %w", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return s.control("setsockopt SO_ATTACH_FILTER", func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
	})
}

// join has the kernel split packets between the sockets of a group, both directions of a connection to the
// same. The first socket founds a group, group 0, and the others join the number returned.
func (s *socket) join(group int) (int, error) {
	founding := 0
	if group == 0 {
		founding = unix.PACKET_FANOUT_FLAG_UNIQUEID
	}
	err := s.control("setsockopt PACKET_FANOUT", func(fd int) (err error) {
		if err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group|(unix.PACKET_FANOUT_HASH|founding)<<16); err != nil {
			return err
		}
		group, err = unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
		group &= 0xffff
		return err
	})
	return group, err
}

// count reads the kernel's books, which start again with every reading. A packet that was dropped is also
// one of packets.
func (s *socket) count() (packets, drops, freezes uint64, err error) {
	s.kernel.Lock()
	defer s.kernel.Unlock()
	err = s.control("getsockopt PACKET_STATISTICS", func(fd int) error {
		stats, err := unix.GetsockoptTpacketStatsV3(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err != nil {
			return err
		}
		s.kernel.packets += uint64(stats.Packets)
		s.kernel.drops += uint64(stats.Drops)
		s.kernel.freezes += uint64(stats.Freeze_q_cnt)
		return nil
	})
	return s.kernel.packets, s.kernel.drops, s.kernel.freezes, err
}

// gone returns an error when an interface has been taken away. One that is down may come up again.
func (s *socket) gone(indexes []int) error {
	for _, index := range indexes {
		if err := s.control("look for the interface", func(fd int) error {
			request, err := unix.NewIfreq("")
			if err != nil {
				return err
			}
			request.SetUint32(uint32(index))
			return unix.IoctlIfreq(fd, unix.SIOCGIFNAME, request)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *socket) close() {
	if s.blocks != nil {
		_ = unix.Munmap(s.blocks) // it is mapped
		s.blocks = nil
	}
	s.file.Close()
}
